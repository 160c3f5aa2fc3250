//! The examples of `docs/http.md`: each request is made, and what is shown of the answer is in it.

use super::*;

const PAGE: &str = include_str!("../../../docs/http.md");

/// The words of a command line, as a shell reads them: quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut quoted) = (vec![String::new()], false);
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            letter if letter.is_whitespace() && !quoted => words.push(String::new()),
            letter => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Method, path and body of a `curl`.
fn request(command: &str) -> (Method, String, String) {
    let words = words(&command.replace("\\\n", " "));
    let mut words = words.iter().skip(1);
    let (mut path, mut body) = (String::new(), String::new());
    while let Some(word) = words.next() {
        match word.as_str() {
            "-s" | "-i" => {}
            "-H" => assert_eq!(words.next().unwrap(), "Content-Type: application/json"),
            "-d" => body.clone_from(words.next().unwrap()),
            url => path = url.strip_prefix("http://127.0.0.1:7650").expect(url).to_owned(),
        }
    }
    (if body.is_empty() { Method::GET } else { Method::POST }, path, body)
}

/// Whether all that is shown is in the answer: of objects some keys, of lists the first items.
fn shows(shown: &Value, answer: &Value) -> bool {
    match (shown, answer) {
        (Value::Object(shown), Value::Object(answer)) => {
            shown.iter().all(|(key, shown)| answer.get(key).is_some_and(|answer| shows(shown, answer)))
        }
        (Value::Array(shown), Value::Array(answer)) => {
            shown.len() <= answer.len()
                && shown.iter().zip(answer).all(|(shown, answer)| shows(shown, answer))
        }
        (shown, answer) => shown == answer,
    }
}

#[tokio::test]
async fn every_example_of_the_page_is_answered_as_it_says() {
    let clock = Clock::start().await;
    clock.record(confirmed("one-minute", 1));
    let mut blocks = PAGE.split("\n```").collect::<Vec<_>>().into_iter();
    let (mut asked_for, mut compared, mut last) = (0, 0, None);
    while let (Some(_), Some(block)) = (blocks.next(), blocks.next()) {
        let (kind, text) = block.split_once('\n').unwrap();
        match (kind, last.take()) {
            ("sh", _) if text.starts_with("curl") && !text.contains("/v1/feed") => {
                let (method, path, body) = request(text);
                last = Some(asked(&clock.client, method, &path, ("application/json", &body)).await);
                asked_for += 1;
            }
            ("json", Some((status, _, answer))) => {
                let shown: Value =
                    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
                assert!(shows(&shown, &answer), "{status} {text}\n{answer:#}");
                compared += 1;
            }
            _ => {}
        }
    }
    assert!(asked_for >= 8 && compared >= 6, "{asked_for} {compared}");
}

#[tokio::test]
async fn every_code_and_route_stands_on_the_page() {
    let clock = Clock::start().await;
    let (_, _, described) = got(&clock.client, "/v1/openapi.json").await;
    for name in ["ProblemCode", "FaultCode"] {
        let text = described["components"]["schemas"][name].to_string();
        let codes: Vec<&str> = text.split('"').filter(|word| PAGE.contains(&format!("`{word}`"))).collect();
        let schema = &described["components"]["schemas"][name];
        let all = schema["enum"].as_array().unwrap();
        let missing: Vec<_> = all.iter().filter(|code| !codes.contains(&code.as_str().unwrap())).collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
    }
    for path in described["paths"].as_object().unwrap().keys() {
        assert!(PAGE.contains(&format!("{path}`")) || PAGE.contains(&format!("{path}?")), "{path}");
    }
}
