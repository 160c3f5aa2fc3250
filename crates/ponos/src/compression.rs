//! Bodies that are compressed, as the property `content_encoding` says: gzip and zstd are read, gzip is written.
//!
//! Invariant: what a body inflates to is bounded, and so is the memory that it takes, whatever it claims: inflating stops at the
//! bound. The message itself stays as it came, for retries and dead letters. Absent: charsets, which are often put into the same
//! property; other encodings, which the event's reader refuses by their name.

use crate::event::{self, DecodeError, Event, Message, is_structured};
use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};
use std::{
    fmt,
    io::{Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

/// A window that every decoder of zstd must have room for (RFC 8878, section 3.1.1.1.2), however small the body may be.
const WINDOW: usize = 8 << 20;
/// The name of what is written.
const GZIP: &str = "gzip";

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 1952, of any number of members.
    Gzip,
    /// RFC 8878, of any number of frames; none may need a dictionary.
    Zstd,
}

/// Why a compressed body can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// It would be larger than it may be, or take as much memory.
    #[error(
        "the body ({bytes} bytes of {encoding}) inflates to more than {most} bytes, or asks for more memory than that"
    )]
    TooLarge {
        /// Its encoding.
        encoding: Encoding,
        /// Its bytes as they came.
        bytes: usize,
        /// The bound.
        most: usize,
    },
    /// It is not, or not wholly, what it says.
    #[error("the body ({bytes} bytes) is not valid {encoding}: {why}")]
    Malformed {
        /// Its encoding.
        encoding: Encoding,
        /// Its bytes as they came.
        bytes: usize,
        /// What is wrong.
        why: String,
    },
}

/// Why inflating stopped.
enum Stopped {
    AtBound,
    Malformed(String),
}

/// How a message's body is compressed; `None` for a plain body, and for encodings that are not known here.
pub fn encoding(message: &Message) -> Option<Encoding> {
    let name = message.properties.content_encoding.as_deref()?;
    [Encoding::Gzip, Encoding::Zstd].into_iter().find(|known| name.eq_ignore_ascii_case(known.name()))
}

/// The message with its body inflated, to be read; `None` if it is not compressed. At most `most` bytes come of it.
///
/// # Errors
/// [`InflateError`].
pub fn inflated(message: &Message, most: usize) -> Result<Option<Message>, InflateError> {
    let Some(encoding) = encoding(message) else { return Ok(None) };
    let Message { routing_key, properties, headers, body } = message;
    let bytes = body.len();
    let body = encoding.inflate(body, most).map_err(|stopped| match stopped {
        Stopped::AtBound => InflateError::TooLarge { encoding, bytes, most },
        Stopped::Malformed(why) => InflateError::Malformed { encoding, bytes, why },
    })?;
    let mut properties = properties.clone();
    properties.content_encoding = None;
    Ok(Some(Message { routing_key: routing_key.clone(), properties, headers: headers.clone(), body }))
}

/// [`Event::from_message`] of a message that may be compressed.
///
/// # Errors
/// As [`inflated`], and as [`Event::from_message`].
pub fn event(message: &Message, most: usize) -> Result<Event, DecodeError> {
    let inflated = inflated(message, most).map_err(|error| DecodeError(error.to_string()))?;
    Event::from_message(inflated.as_ref().unwrap_or(message))
}

/// [`event::identity`] of a message that may be compressed: where the attributes stand in its body, that is inflated.
pub fn identity(message: &Message, most: usize) -> (Option<String>, Option<String>) {
    let inflated = if is_structured(message) { inflated(message, most).ok().flatten() } else { None };
    event::identity(inflated.as_ref().unwrap_or(message))
}

/// Compresses a plain body by gzip, if that makes it smaller; returns whether it did.
pub fn gzip(message: &mut Message) -> bool {
    if message.properties.content_encoding.is_some() {
        return false;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // into memory, which never fails
    let packed = encoder.write_all(&message.body).and_then(|()| encoder.finish());
    match packed {
        Ok(packed) if packed.len() < message.body.len() => {
            message.body = packed;
            message.properties.content_encoding = Some(GZIP.to_owned());
            true
        }
        _ => false,
    }
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => GZIP,
            Self::Zstd => "zstd",
        }
    }

    fn inflate(self, packed: &[u8], most: usize) -> Result<Vec<u8>, Stopped> {
        match self {
            Self::Gzip => {
                let mut plain = Vec::new();
                append(MultiGzDecoder::new(packed), &mut plain, most)?;
                Ok(plain)
            }
            // whoever sent it, one body must not end the worker: the decoder has assertions about what it read
            Self::Zstd => catch_unwind(AssertUnwindSafe(|| unzstd(packed, most)))
                .unwrap_or_else(|_| Err(Stopped::Malformed("its decoder gave up".into()))),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Appends what is read, unless that would make it longer than `most`.
fn append(reader: impl Read, plain: &mut Vec<u8>, most: usize) -> Result<(), Stopped> {
    let room = most.saturating_sub(plain.len()).saturating_add(1);
    let read = reader.take(room as u64).read_to_end(plain);
    if plain.len() > most {
        return Err(Stopped::AtBound);
    }
    read.map(|_| ()).map_err(|error| Stopped::Malformed(error.to_string()))
}

fn unzstd(mut packed: &[u8], most: usize) -> Result<Vec<u8>, Stopped> {
    let mut plain = Vec::new();
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(most.max(WINDOW) as u64);
    // nothing at all is no frame
    let mut is_first = true;
    while std::mem::take(&mut is_first) || !packed.is_empty() {
        match decoder.reset(&mut packed) {
            Ok(()) => {}
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let rest = usize::try_from(length).ok().and_then(|length| packed.get(length..));
                packed = rest.ok_or_else(|| Stopped::Malformed("a frame to be skipped has no end".into()))?;
                continue;
            }
            Err(FrameDecoderError::WindowSizeTooBig { .. }) => return Err(Stopped::AtBound),
            Err(error) => return Err(Stopped::Malformed(error.to_string())),
        }
        // a block at a time, which is 128 KiB at most
        while !decoder.is_finished() {
            let block = decoder.decode_blocks(&mut packed, BlockDecodingStrategy::UptoBlocks(1));
            block.map_err(|error| Stopped::Malformed(error.to_string()))?;
            append(&mut decoder, &mut plain, most)?;
        }
        let sums = (decoder.get_checksum_from_data(), decoder.get_calculated_checksum());
        if let (Some(written), Some(found)) = sums
            && written != found
        {
            return Err(Stopped::Malformed("the sum at its end is another one".into()));
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests;
