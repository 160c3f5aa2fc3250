//! A clock's feed as its client reads it (server-sent events), and the addresses of clocks. Against a reading by the standard,
//! line by line.
#![no_main]

#[path = "../../src/http/sse.rs"]
mod sse;

use khronos::http::client::Target;
use sse::{Message, Parser};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let whole = read(bytes, bytes.len().max(1));
    // However the network cuts it.
    for cut in [1, 3, 7] {
        assert_eq!(read(bytes, cut), whole, "cut at {cut}");
    }
    assert_eq!(whole.0, standard(&String::from_utf8_lossy(bytes)));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Target::from_url(text) {
        Ok(target) => {
            let shown = target.to_string();
            assert_eq!(Target::from_url(&shown).map(|again| again.to_string()).ok(), Some(shown));
        }
        Err(wrong) => assert!(!wrong.to_string().is_empty()),
    }
});

fn read(bytes: &[u8], cut: usize) -> (Vec<Message>, Option<String>) {
    let mut parser = Parser::default();
    let messages = bytes.chunks(cut).flat_map(|part| parser.feed(part).expect("inputs are short")).collect();
    (messages, parser.last_id().map(str::to_owned))
}

/// WHATWG HTML, §9.2.6, on a text that is whole: what is not ended by an empty line is dropped.
fn standard(text: &str) -> Vec<Message> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (mut messages, mut id) = (Vec::new(), None::<String>);
    let (mut event, mut data) = (String::new(), String::new());
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.pop();
    for line in lines {
        if line.is_empty() {
            let name = std::mem::take(&mut event);
            let mut data = std::mem::take(&mut data);
            if data.pop().is_some() {
                let event = if name.is_empty() { "message".to_owned() } else { name };
                messages.push(Message { id: id.clone(), event, data });
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => event = value.to_owned(),
            "data" => data += &format!("{value}\n"),
            "id" if !value.contains('\0') => id = Some(value.to_owned()),
            _ => {}
        }
    }
    messages
}
