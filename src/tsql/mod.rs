//! Text to syntax tree; knows no instance.
