/** Where the configuration file is. Imports nothing: the arguments are read before anything else is loaded. */

/** Names the file. It is not a setting of the server: it cannot be in the file. */
export const fileVariable = "HAPPIER_CONFIG_FILE"

/** Name of the file in the data directory. */
export const defaultFile = "light-server.toml"
