//! The transaction log as data.
