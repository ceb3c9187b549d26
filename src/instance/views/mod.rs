//! One file per system view; pure functions from the instance to rows.
