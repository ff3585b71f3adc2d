// What is to be known of a job beside its row: how far it is, what it waits for, what may be done.
import { OUTCOMES, WAITS } from "./words.js";

export const OPEN = ["pending", "running", "cancelling"];
export const isOpen = (job) => OPEN.includes(job.status);
export const isLook = (job) => job.stage === "plan" || job.stage === "check";

// Accounts that are final, or (of a plan) were looked at.
export function doneOf(job) {
  if (isLook(job) && job.plan) return job.plan.create + job.plan.adopt + job.plan.conflict;
  return OUTCOMES.reduce((sum, name) => sum + (job[name] || 0), 0);
}

// Beside the state, in a word or two: why it does not go on.
export function stallOf(job) {
  if (!isOpen(job)) return "";
  if (job.waits) return job.waits === "paused" ? "paused" : `to ${WAITS[job.waits].verb}`;
  return job.held ? "held" : "";
}

// The verb that lets a waiting job go on, or null.
export const verbOf = (job) => (isOpen(job) && job.waits ? WAITS[job.waits].verb : null);

export const KINDS = { generate: "generated", import: "from a roster", raw: "from the line" };

export function kindOf(job) {
  if (job.undoes) return "undo";
  return job.stage === "plan" ? "plan" : job.source === "import" ? "roster" : "";
}
