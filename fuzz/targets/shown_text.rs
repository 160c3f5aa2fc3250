//! Text from outside on its way to a terminal or a log: what is cleaned obeys nothing, and cleaning again changes nothing.
#![no_main]

use fuzz::pieces;
use ponos_event::{redact, terminal};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let line = terminal::line(&text);
    assert!(!line.contains(char::is_control), "{line:?}");
    assert_eq!(terminal::line(&line), line);
    let block = terminal::block(&text);
    assert!(!block.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{block:?}");
    assert_eq!(terminal::block(&block), block);
    let message = terminal::message(&text);
    assert!(message.lines().skip(1).all(|line| line.is_empty() || line.starts_with("  ")), "{message:?}");
    let styled = terminal::styled(&text);
    assert!(!styled.contains(|c: char| c.is_control() && !"\n\t\u{1b}".contains(c)), "{styled:?}");
    assert_eq!(terminal::styled(&styled), styled);
    // Twice may hide more than once: what stands for a secret looks like one.
    let hidden = redact::redact(&text);
    let _ = redact::redact(&hidden);
    // Of a URL that stands there as a person writes it, the password is never left.
    let word: String = text.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    let secret = format!("s3cr{word}et");
    let [before, after] = pieces::cut(&text);
    let url = format!("{before} amqp://user:{secret}@host/ {after}");
    assert!(!redact::redact(&url).contains(&secret), "{:?}", redact::redact(&url));
});
