// What a history notes, in words: each with its tone.
// Of the job.
export const JOB = {
  accepted: ["calm", "Asked for"], finished: ["calm", "Finished"],
  held: ["warn", "Stopped: its directory is paused"], "goes on": ["busy", "Goes on"],
  waits: ["warn", "Waits for a person"], paused: ["warn", "Somebody paused it"], resumed: ["busy", "Somebody resumed it"],
  approved: ["busy", "Somebody approved it"], released: ["busy", "Somebody let it go on"],
  "apply asked": ["busy", "Somebody applied the plan"], "cancel asked": ["warn", "Somebody cancelled it"],
  "retry asked": ["busy", "Somebody had its failed accounts tried again"], "undo asked": ["warn", "Somebody asked for its undo"],
  "put back": ["calm", "Put back into the line, which had lost it"], "looked again": ["calm", "What failed was looked for once more at the directory"],
};
export const WAITED = { plan: "its plan is to be applied", canary: "its first accounts are to be approved", failures: "too many failed", paused: "it was paused" };

// Of accounts: for one, and for many.
export const ACCOUNT = {
  leased: ["calm", "was taken up again", "were taken up again"], planned: ["calm", "is tried again later", "are tried again later"],
  unsure: ["warn", "had no clear answer: it is looked for first", "had no clear answer: they are looked for first"],
  lost: ["warn", "was under way when its worker was lost", "were under way when their worker was lost"],
  freed: ["calm", "was handed back by a worker that ended", "were handed back by a worker that ended"],
  refused: ["calm", "had a late result, which was refused: another worker had it by then", "had late results, which were refused: other workers had them by then"],
  renamed: ["calm", "got another name: the first one was taken", "got other names: the first ones were taken"],
  created: ["good", "was created", "were created"], existing: ["good", "was there already", "were there already"],
  failed: ["bad", "failed", "failed"], cancelled: ["calm", "was cancelled", "were cancelled"],
  deleted: ["calm", "was removed", "were removed"], removed: ["calm", "was removed", "were removed"],
  "landed late": ["good", "turned out to be there: a call had landed late", "turned out to be there: calls had landed late"],
  gone: ["warn", "was gone from the directory", "were gone from the directory"],
  "to be made anew": ["busy", "is to be made anew", "are to be made anew"], "taken over": ["good", "was taken over as it is now", "were taken over as they are now"],
};

// One item of the history of an account: {says, why, by}.
export function told(item) {
  const [, words] = (item.account ? ACCOUNT : JOB)[item.what] || ["", item.what];
  const waits = item.what === "waits" && WAITED[item.reason];
  return {
    says: item.account ? `It ${words}` : words,
    why: waits || [item.reason, item.detail].filter(Boolean).join(": "),
    by: [item.attempt && `attempt ${item.attempt}`, item.worker && `by ${item.worker}`].filter(Boolean).join(", "),
  };
}
