//! System calls of a launch that fail: the agent never starts less confined than its plan says.

mod every;
mod ground;
mod steps;
mod surroundings;
