// What a form does when it is sent: never twice at a time, and under one key for one wish, so that
// the same wish sent again (a double click, an answer that was lost) makes nothing twice.
import { useRef, useState } from "./html.js";
import { intention } from "./api.js";

// does(wish, key): wish is what is asked for, as data.
export function useSending(does) {
  const keys = useRef(new Map());
  const under = useRef(false);
  const [state, setState] = useState({ busy: false, problem: null });
  const send = async (wish) => {
    if (under.current) return;
    under.current = true;
    setState({ busy: true, problem: null });
    const text = JSON.stringify(wish);
    if (!keys.current.has(text)) keys.current.set(text, intention());
    try {
      await does(wish, keys.current.get(text));
      setState({ busy: false, problem: null });
    } catch (problem) {
      setState({ busy: false, problem });
    } finally {
      under.current = false;
    }
  };
  return { ...state, send };
}
