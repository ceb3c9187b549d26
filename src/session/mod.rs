//! One mirroring session of one database, pure.
