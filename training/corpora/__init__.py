"""Where examples come from: one module a kind of data set, all read into sittings."""
