//! Primitives that ask how long the frame is: `less N`, `greater N`, `len > N`.

use super::cursor::Token;
use super::error::ParseError;
use super::reader::Reader;
use super::value;
use crate::steering::rules::{Expression, Primitive};

impl<'a> Reader<'a> {
    /// A length after `less` or `greater`, which both include it.
    pub(super) fn bound(
        &mut self,
        on: impl Fn(u16) -> Primitive,
    ) -> Result<Expression, ParseError> {
        let token = self.cursor.expect("a frame length in bytes")?;
        let bytes = self.valid(token, value::frame_bytes)?;
        Ok(self.leaf(token, on(bytes)))
    }

    /// `> N`, `<= N`, `!= N` and so on, after `len`.
    pub(super) fn length(&mut self, len: Token<'a>) -> Result<Expression, ParseError> {
        let expected = "`<`, `<=`, `>`, `>=`, `=` or `!=`";
        let sign = self.cursor.expect(expected)?;
        if !matches!(sign.word, "<" | ">" | "=" | "==" | "!=") {
            return Err(self.cursor.not_expected(sign, expected));
        }
        let or_equal = matches!(sign.word, "<" | ">") && self.cursor.next_if(&["="]).is_some();
        let token = self.cursor.expect("a frame length in bytes")?;
        let bytes = self.valid(token, value::frame_bytes)?;
        let never = || {
            self.cursor
                .error(token, "no frame is shorter than 0 bytes: use 1 or more")
        };
        Ok(match (sign.word, or_equal) {
            ("<", false) => {
                let most = bytes.checked_sub(1).ok_or_else(never)?;
                self.leaf(len, Primitive::AtMostBytes(most))
            }
            ("<", true) => self.leaf(len, Primitive::AtMostBytes(bytes)),
            (">", false) => self.leaf(len, Primitive::AtLeastBytes(bytes + 1)),
            (">", true) => self.leaf(len, Primitive::AtLeastBytes(bytes)),
            ("!=", _) => match bytes.checked_sub(1) {
                Some(most) => {
                    self.leaf(len, Primitive::AtMostBytes(most))
                        | self.leaf(len, Primitive::AtLeastBytes(bytes + 1))
                }
                None => self.leaf(len, Primitive::AtLeastBytes(1)),
            },
            _ => {
                self.leaf(len, Primitive::AtLeastBytes(bytes))
                    & self.leaf(len, Primitive::AtMostBytes(bytes))
            }
        })
    }
}
