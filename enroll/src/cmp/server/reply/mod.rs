//! Answers: their content, what they repeat of the request, and their protection.

pub mod answer;
pub mod echo;
pub mod protect;
