"""Parts by name: what a configuration may choose among, one module and one registry for each kind."""
