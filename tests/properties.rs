//! What holds for every input.

#[path = "properties/scaling.rs"]
mod scaling;
