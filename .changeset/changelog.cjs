/** The lines of a changelog: what the changesets say, as they say it. */
module.exports = {
  getReleaseLine: async ({ summary }) => summary.trim(),
  getDependencyReleaseLine: async () => ""
}
