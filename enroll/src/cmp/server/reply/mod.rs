//! What is answered, and how the answer is protected.

pub mod answer;
pub mod echo;
pub mod protect;
