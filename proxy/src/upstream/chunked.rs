//! The chunked transfer coding of a response (RFC 9112, section 7.1), taken apart as it comes.

use bytes::{Buf, Bytes};
use thiserror::Error;

/// The most bytes between the data of two chunks, and of the trailers, which end here.
const MOST_FRAMING: usize = 8 << 10;

/// How far a chunked body is.
#[derive(Debug, Default)]
pub struct Chunked {
    state: State,
    /// The size of a chunk, as its digits say so far; within its data, what is still to come.
    left: u64,
    /// Bytes since the last data.
    framing: usize,
}

/// What has come last. No digits may follow white space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Begin,
    Size,
    SizeSpace,
    Extension,
    SizeReturn,
    Data,
    DataEnd,
    DataReturn,
    /// The last chunk's size, or a trailer's line.
    LastLine,
    Trailer,
    TrailerReturn,
    LastReturn,
    Ended,
    Broken(ChunkError),
}

/// What isn't the chunked coding.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ChunkError {
    /// No hexadecimal digits where a chunk begins, or more than 64 bits of them.
    #[error("a chunk without a size")]
    Size,
    /// A line, or the data of a chunk, doesn't end in CR LF.
    #[error("a chunk without its line end")]
    LineEnd,
    /// Extensions or trailers of more than 8 KiB.
    #[error("too much beside the data of chunks")]
    TooLong,
}

impl Chunked {
    /// Takes the next data out of what was read; none where more has to be read first.
    ///
    /// # Errors
    /// It isn't the chunked coding.
    pub fn next(&mut self, read: &mut Bytes) -> Result<Option<Bytes>, ChunkError> {
        self.skip_framing(read);
        match self.state {
            State::Data if !read.is_empty() => {}
            State::Broken(error) => return Err(error),
            _ => return Ok(None),
        }
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(read.len());
        let data = read.split_to(length);
        self.framing = 0;
        self.left -= length as u64;
        if self.left == 0 {
            self.state = State::DataEnd;
        }
        // The end often comes with the last data, and whoever has it need not wait for more. What breaks there takes
        // nothing away from the data.
        self.skip_framing(read);
        Ok(Some(data))
    }

    /// Whether it has come to its end.
    pub fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    fn skip_framing(&mut self, read: &mut Bytes) {
        let mut skipped = 0;
        for &byte in read.iter() {
            if matches!(self.state, State::Data | State::Ended | State::Broken(_)) {
                break;
            }
            self.state = self.after(byte).unwrap_or_else(State::Broken);
            skipped += 1;
        }
        read.advance(skipped);
        self.framing += skipped;
        if self.framing > MOST_FRAMING {
            self.state = State::Broken(ChunkError::TooLong);
        }
    }

    fn after(&mut self, byte: u8) -> Result<State, ChunkError> {
        Ok(match (self.state, byte) {
            (State::Size | State::SizeSpace | State::Extension, b'\r') => State::SizeReturn,
            (State::Size | State::SizeSpace, b';') => State::Extension,
            (State::Size | State::SizeSpace, b' ' | b'\t') => State::SizeSpace,
            (State::Begin | State::Size, byte) => {
                self.left = with_digit(self.left, byte)?;
                State::Size
            }
            (State::Extension | State::LastLine | State::Trailer, b'\n') => {
                return Err(ChunkError::LineEnd);
            }
            (State::Extension, _) => State::Extension,
            (State::SizeReturn, b'\n') if self.left == 0 => State::LastLine,
            (State::SizeReturn, b'\n') => State::Data,
            (State::DataEnd, b'\r') => State::DataReturn,
            (State::DataReturn, b'\n') => State::Begin,
            (State::TrailerReturn, b'\n') => State::LastLine,
            (State::LastLine, b'\r') => State::LastReturn,
            (State::Trailer, b'\r') => State::TrailerReturn,
            (State::LastLine | State::Trailer, _) => State::Trailer,
            (State::LastReturn, b'\n') => State::Ended,
            _ => return Err(ChunkError::LineEnd),
        })
    }
}

fn with_digit(size: u64, byte: u8) -> Result<u64, ChunkError> {
    let digit = char::from(byte).to_digit(16).ok_or(ChunkError::Size)?;
    let size = size.checked_mul(16).ok_or(ChunkError::Size)?;
    Ok(size | u64::from(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of a body that comes in pieces of such a size, whether it has ended, and what follows it.
    fn decode(body: &str, size: usize) -> Result<(String, bool, String), ChunkError> {
        let mut chunked = Chunked::default();
        let (mut data, mut rest) = (Vec::new(), Vec::new());
        for piece in body.as_bytes().chunks(size) {
            let mut read = Bytes::copy_from_slice(piece);
            while let Some(found) = chunked.next(&mut read)? {
                data.extend_from_slice(&found);
            }
            rest.extend_from_slice(&read);
        }
        Ok((
            String::from_utf8(data).unwrap(),
            chunked.is_ended(),
            String::from_utf8(rest).unwrap(),
        ))
    }

    #[test]
    fn data_is_found_however_it_comes() {
        let cases = [
            ("nothing", "0\r\n\r\n", "", true, ""),
            ("one", "3\r\nabc\r\n0\r\n\r\n", "abc", true, ""),
            ("two", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde", true, ""),
            (
                "either case",
                "A\r\n0123456789\r\na\r\n0123456789\r\n",
                "01234567890123456789",
                false,
                "",
            ),
            ("zeros before", "0003\r\nabc\r\n000\r\n\r\n", "abc", true, ""),
            (
                "many zeros before",
                "00000000000000003\r\nabc\r\n0\r\n\r\n",
                "abc",
                true,
                "",
            ),
            ("extensions", "3;a=b\r\nabc\r\n0 ;c\r\n\r\n", "abc", true, ""),
            ("white space", "3 \t\r\nabc\r\n0\t\r\n\r\n", "abc", true, ""),
            ("trailers", "1\r\na\r\n0\r\nX: y\r\nZ: \r\n\r\n", "a", true, ""),
            (
                "line ends in data",
                "4\r\n\r\n\r\n\r\n0\r\n\r\n",
                "\r\n\r\n",
                true,
                "",
            ),
            ("not all yet", "5\r\nab", "ab", false, ""),
            (
                "more after it",
                "1\r\na\r\n0\r\n\r\nHTTP/1.1",
                "a",
                true,
                "HTTP/1.1",
            ),
        ];
        for (name, body, data, ended, rest) in cases {
            for size in 1..=body.len() {
                assert_eq!(
                    decode(body, size),
                    Ok((data.to_owned(), ended, rest.to_owned())),
                    "{name}, in pieces of {size}"
                );
            }
        }
    }

    #[test]
    fn what_breaks_takes_no_data_away() {
        let mut chunked = Chunked::default();
        let mut read = Bytes::from_static(b"3\r\nabc\r\nx");
        assert_eq!(chunked.next(&mut read), Ok(Some(Bytes::from_static(b"abc"))));
        assert_eq!(chunked.next(&mut read), Err(ChunkError::Size));
        assert_eq!(chunked.next(&mut read), Err(ChunkError::Size), "for ever");
    }

    #[test]
    fn what_isnt_chunked_is_an_error() {
        let long = format!("1;{}\r\na\r\n", "x".repeat(MOST_FRAMING));
        let cases = [
            ("no size", "\r\n", ChunkError::Size),
            ("no number", "x\r\n", ChunkError::Size),
            ("an extension without a size", ";a\r\n", ChunkError::Size),
            ("a sign", "+3\r\nabc\r\n", ChunkError::Size),
            ("a prefix", "0x3\r\nabc\r\n", ChunkError::Size),
            ("65 bits", "10000000000000000\r\nabc\r\n", ChunkError::Size),
            ("digits behind a space", "0 3\r\nabc\r\n", ChunkError::LineEnd),
            ("a word behind a space", "3 a\r\nabc\r\n", ChunkError::LineEnd),
            ("only a line feed", "3\nabc\r\n", ChunkError::Size),
            ("only a line feed, later", "3;a\nabc\r\n", ChunkError::LineEnd),
            ("only a carriage return", "3\rabc\r\n", ChunkError::LineEnd),
            ("more data than said", "3\r\nabcd\r\n", ChunkError::LineEnd),
            (
                "a trailer without its end",
                "0\r\na\nb\r\n\r\n",
                ChunkError::LineEnd,
            ),
            ("an end that isn't one", "0\r\n\rx", ChunkError::LineEnd),
            ("a long extension", &long, ChunkError::TooLong),
        ];
        for (name, body, error) in cases {
            for size in [1, 2, body.len()] {
                assert_eq!(decode(body, size), Err(error), "{name}, in pieces of {size}");
            }
        }
    }
}
