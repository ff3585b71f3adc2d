// Where the page is: what is filtered by stands in the address, so that it can be kept and sent.
import { address } from "./api.js";

export const link = (path, query = {}) => `#${address(path, query)}`;

// Another filter on the same page; the way back does not lead through each of them.
export function refine(path, query) {
  location.replace(link(path, query));
}
