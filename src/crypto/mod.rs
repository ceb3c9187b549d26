//! Ciphers, key agreement and signatures behind small traits; randomness is handed in.
