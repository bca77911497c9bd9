/** Stands in for xmlbuilder2; see vite.config.ts. */
export function create(): never {
  throw new Error("this page writes no XML");
}
export default { create };
