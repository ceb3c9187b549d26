//! The simulation shell: world, scenarios, faults, oracles, trace.
