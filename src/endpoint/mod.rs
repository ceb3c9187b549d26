//! One connection from first byte to online, pure.
