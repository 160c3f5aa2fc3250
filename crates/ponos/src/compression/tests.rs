use super::*;
use crate::event::Event;
use proptest::{collection::vec, prelude::*};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

const MEBIBYTE: usize = 1 << 20;
/// A frame of zstd without a known size, with a window of 1 MiB.
const FRAME: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50];

fn body(encoding: &str, body: Vec<u8>) -> Message {
    let mut message = Message { body, ..Message::default() };
    message.properties.content_encoding = Some(encoding.to_owned());
    message
}

fn gzipped(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    compress_to_vec(plain, CompressionLevel::Fastest)
}

fn read(encoding: &str, packed: Vec<u8>) -> Result<Vec<u8>, InflateError> {
    inflated(&body(encoding, packed), MEBIBYTE).map(|inflated| inflated.unwrap().body)
}

/// A block of one byte, 128 KiB times.
fn repeated(is_last: bool) -> [u8; 4] {
    let [low, middle, high, _] = ((128 << 10 << 3) | (1 << 1) | u32::from(is_last)).to_le_bytes();
    [low, middle, high, b' ']
}

#[test]
fn what_was_compressed_is_read_in_any_number_of_parts_and_the_message_stays_as_it_came() {
    let (one, two) = (br#"{"number":"#.repeat(300), b"7}".to_vec());
    let whole = [one.clone(), two.clone()].concat();
    // a frame of the program's own, to be skipped
    let skipped = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    for (encoding, packed) in [
        ("gzip", gzipped(&whole)),
        ("GZip", [gzipped(&one), gzipped(&two)].concat()),
        ("zstd", zstd(&whole)),
        ("ZSTD", [zstd(&one), skipped.clone(), zstd(&two), skipped].concat()),
    ] {
        let mut message = body(encoding, packed);
        message.headers.set("own", "stays");
        let before = message.clone();
        let read = inflated(&message, MEBIBYTE).unwrap().unwrap();
        assert_eq!((read.body, read.properties.content_encoding), (whole.clone(), None), "{encoding}");
        assert_eq!((read.headers, &message), (before.headers.clone(), &before));
    }
    assert_eq!(read("gzip", gzipped(b"")), Ok(Vec::new()));
    assert_eq!(read("zstd", zstd(b"")), Ok(Vec::new()));
}

#[test]
fn ten_gibibytes_stop_at_the_bound() {
    let member = gzipped(&vec![b' '; MEBIBYTE]);
    let blocks: Vec<u8> = (1..=80_u32 << 10).flat_map(|block| repeated(block == 80 << 10)).collect();
    for (encoding, packed) in [("gzip", member.repeat(10 << 10)), ("zstd", [&FRAME[..], &blocks].concat())] {
        let bytes = packed.len();
        let stopped = read(encoding, packed).unwrap_err();
        assert!(matches!(stopped, InflateError::TooLarge { bytes: all, most: MEBIBYTE, .. } if all == bytes));
        assert!(stopped.to_string().contains("inflates to more than 1048576 bytes"), "{stopped}");
    }
}

#[test]
fn what_fits_exactly_is_read_and_a_byte_more_is_not() {
    for (encoding, pack) in [("gzip", gzipped as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)] {
        assert_eq!(read(encoding, pack(&vec![7; MEBIBYTE])).unwrap().len(), MEBIBYTE, "{encoding}");
        let larger = read(encoding, pack(&vec![7; MEBIBYTE + 1]));
        assert!(matches!(larger, Err(InflateError::TooLarge { .. })), "{encoding}: {larger:?}");
    }
}

#[test]
fn a_window_that_no_decoder_needs_is_refused_before_it_has_memory() {
    // 2 GiB; and a single segment of 3 GB
    for head in [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8][..], &[0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0xc0]] {
        let large = read("zstd", [head, &repeated(true)].concat());
        assert!(matches!(large, Err(InflateError::TooLarge { .. })), "{large:?}");
    }
    // what each must have is taken, though the body may be shorter
    let eight = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68][..], &repeated(true)].concat();
    assert_eq!(read("zstd", eight).unwrap(), vec![b' '; 128 << 10]);
}

#[test]
fn what_is_cut_short_changed_or_something_else_is_told() {
    let plain =
        br#"{"number":7,"words":"so that there is something to compress, and to compress"}"#.repeat(20);
    for (encoding, packed) in [("gzip", gzipped(&plain)), ("zstd", zstd(&plain))] {
        for end in 0..packed.len() {
            let cut = read(encoding, packed[..end].to_vec());
            assert!(matches!(cut, Err(InflateError::Malformed { .. })), "{encoding} {end}: {cut:?}");
        }
        for other in [plain.clone(), [packed.clone(), plain.clone()].concat()] {
            let error = read(encoding, other).unwrap_err().to_string();
            assert!(error.contains(&format!("is not valid {encoding}: ")), "{error}");
        }
    }
    let mut sum = gzipped(&plain);
    let at = sum.len() - 6;
    sum[at] ^= 1;
    assert!(read("gzip", sum).is_err());
    let mut sum = zstd(&plain);
    *sum.last_mut().unwrap() ^= 1;
    let error = read("zstd", sum).unwrap_err().to_string();
    assert!(error.contains("the sum at its end"), "{error}");
    assert!(read("zstd", vec![0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x50, 9]).is_err(), "a dictionary");
}

#[test]
fn other_encodings_are_not_ours() {
    for other in ["utf-8", "", "br", "gzip, zstd", "deflate"] {
        assert_eq!(inflated(&body(other, b"{}".to_vec()), 9), Ok(None), "{other}");
    }
    assert_eq!(inflated(&Message::default(), 9), Ok(None));
}

#[test]
fn only_what_becomes_smaller_is_written_compressed() {
    let event = Event::new("1".parse().unwrap(), "/a", "a.b.c".parse().unwrap(), b"[1,1]".repeat(100));
    let plain = event.into_message();
    let mut message = plain.clone();
    assert!(gzip(&mut message));
    assert_eq!(message.properties.content_encoding.as_deref(), Some("gzip"));
    assert!(message.body.len() < 100);
    assert_eq!(inflated(&message, 500).unwrap().unwrap(), plain);
    let before = message.clone();
    assert!(!gzip(&mut message) && message == before, "it is compressed already");
    let mut short = Message { body: b"{}".to_vec(), ..Message::default() };
    assert!(!gzip(&mut short) && short.body == b"{}", "it would become longer");
}

proptest! {
    #[test]
    fn no_body_makes_the_reader_panic_or_exceed_the_bound(
        plain in vec(any::<u8>(), 0..2_000),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        most in 0..3_000_usize,
    ) {
        for (encoding, mut packed) in [("gzip", gzipped(&plain)), ("zstd", zstd(&plain))] {
            for (at, byte) in &changes {
                let at = at.index(packed.len());
                packed[at] = *byte;
            }
            match inflated(&body(encoding, packed), most) {
                Ok(read) => prop_assert!(read.unwrap().body.len() <= most),
                Err(InflateError::TooLarge { .. }) if changes.is_empty() => prop_assert!(plain.len() > most),
                Err(InflateError::Malformed { .. }) if changes.is_empty() => prop_assert!(false, "it is whole"),
                Err(_) => {}
            }
        }
    }
}
