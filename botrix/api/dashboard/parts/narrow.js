// Whether the window is as narrow as a phone: a list then shows fewer columns.
import { useEffect, useState } from "./html.js";

const query = matchMedia("(max-width: 760px)");

export function useNarrow() {
  const [narrow, setNarrow] = useState(query.matches);
  useEffect(() => {
    const see = () => setNarrow(query.matches);
    query.addEventListener("change", see);
    return () => query.removeEventListener("change", see);
  }, []);
  return narrow;
}
