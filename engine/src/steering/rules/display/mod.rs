//! Rules as text, which parses to the same rules.

mod expression;
mod primitive;
mod rule;
#[cfg(test)]
mod tests;
