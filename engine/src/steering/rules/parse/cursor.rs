//! The words of a text, and how far they have been read.

use super::error::{ParseError, shown};

/// A word, or one of the signs that are words by themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) word: &'a str,
    /// The byte at which it starts.
    pub(super) start: usize,
}

/// Goes through the words once, looking ahead where needed.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            tokens: tokens(text),
            at: 0,
        }
    }

    /// Takes the next word.
    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.get(self.at).copied()?;
        self.at += 1;
        Some(token)
    }

    /// Takes the next word if it is one of these.
    pub(super) fn next_if(&mut self, words: &[&str]) -> Option<Token<'a>> {
        let token = self.peek(0)?;
        if !words.contains(&token.word) {
            return None;
        }
        self.next()
    }

    /// Takes the next word, which must be there.
    pub(super) fn expect(&mut self, expected: &str) -> Result<Token<'a>, ParseError> {
        match self.next() {
            Some(token) => Ok(token),
            None => Err(self.at_end(expected)),
        }
    }

    /// Takes the next word, which must be this one.
    pub(super) fn expect_word(&mut self, word: &str) -> Result<Token<'a>, ParseError> {
        let expected = format!("`{word}`");
        let token = self.expect(&expected)?;
        if token.word != word {
            return Err(self.not_expected(token, &expected));
        }
        Ok(token)
    }

    /// Nothing may be left.
    pub(super) fn finish(&self, expected: &str) -> Result<(), ParseError> {
        match self.peek(0) {
            Some(token) => Err(self.not_expected(token, expected)),
            None => Ok(()),
        }
    }

    /// The word after `ahead` others, which stay.
    pub(super) fn peek(&self, ahead: usize) -> Option<Token<'a>> {
        self.tokens.get(self.at + ahead).copied()
    }

    pub(super) fn next_is(&self, words: &[&str]) -> bool {
        self.peek(0)
            .is_some_and(|token| words.contains(&token.word))
    }

    pub(super) fn error(&self, token: Token<'_>, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, token.start, token.word.len(), message.into())
    }

    pub(super) fn not_expected(&self, token: Token<'_>, expected: &str) -> ParseError {
        let word = shown(token.word);
        self.error(token, format!("expected {expected}, not `{word}`"))
    }

    /// The text ends where something was expected.
    pub(super) fn at_end(&self, expected: &str) -> ParseError {
        let end = self.text.trim_end().len();
        let message = match self.tokens.last() {
            Some(last) => {
                let last = shown(last.word);
                format!("expected {expected} after `{last}`, but the text ends")
            }
            None => format!("expected {expected}, but there is no text"),
        };
        ParseError::new(self.text, end, 0, message)
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        let rest = &text[start..];
        let length = if first.is_whitespace() {
            start += first.len_utf8();
            continue;
        } else if DOUBLE_SIGNS.iter().any(|sign| rest.starts_with(sign)) {
            2
        } else if SIGNS.contains(&first) {
            1
        } else {
            rest.find(|c: char| c.is_whitespace() || SIGNS.contains(&c))
                .unwrap_or(rest.len())
        };
        tokens.push(Token {
            word: &rest[..length],
            start,
        });
        start += length;
    }
    tokens
}

const SIGNS: &[char] = &['(', ')', '[', ']', '!', '&', '|', '=', '<', '>'];

const DOUBLE_SIGNS: &[&str] = &["&&", "||", "==", "!="];
