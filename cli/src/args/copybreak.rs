//! The copybreak on the command line: a number of bytes, or `off`.

use wharf::{Copybreak, UmemConfig};

use super::number::within;

/// Reads a copybreak.
pub fn copybreak(text: &str) -> Result<Copybreak, String> {
    if text == "off" {
        return Ok(Copybreak::Off);
    }
    let most = UmemConfig::DEFAULT_CHUNK_SIZE;
    let bytes = within::<u32>(1..=most.into())(text);
    bytes
        .map(Copybreak::Below)
        .map_err(|error| format!("{error}, or `off`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copybreak_is_a_number_of_bytes_or_off() {
        assert_eq!(copybreak("off"), Ok(Copybreak::Off));
        assert_eq!(copybreak("256"), Ok(Copybreak::Below(256)));
        for wrong in ["", "0", "-1", "4097", "no", "1K"] {
            let error = copybreak(wrong).expect_err("it makes no sense");
            assert!(error.ends_with("or `off`"), "{wrong}: {error}");
        }
    }
}
