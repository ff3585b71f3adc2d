// What was done, said once in a corner, and to screen readers. It stands within the question that is
// open just then, where one is: all else lies behind that, and is not read out.
const SHOWN = 6000;
const MOST = 3;

const box = document.createElement("div");
box.className = "toasts";
box.setAttribute("role", "status");

// Where it is seen: the question on top, or the page. leaving: a question that is about to go.
export function settle(leaving) {
  const open = [...document.querySelectorAll("dialog[open]")].filter((one) => one !== leaving);
  const place = open[open.length - 1] || document.body;
  if (box.parentNode !== place) place.append(box);
}

export function tell(text) {
  const line = document.createElement("p");
  line.textContent = text;
  settle();
  box.append(line);
  if (box.children.length > MOST) box.firstChild.remove();
  setTimeout(() => line.remove(), SHOWN);
}
