//! Prepares a message for republishing on another route (retry ladder, dead-letter queue, requeue).

use ponos_event::Message;

/// The message for republishing, with the queue's name as routing key.
///
/// Body, properties and headers stay, except those that would make the broker expire it, refuse it, or copy it elsewhere:
/// the expiration, the user, `CC` and `BCC`, and the broker's own headers (`x-…`). It is persistent. A message without an id
/// gets `id`, or a random UUID if that is `None` or empty.
pub fn resent(message: Message, queue: &str, id: Option<&str>) -> Message {
    let Message { mut properties, mut headers, body, .. } = message;
    let is_id = |id: &str| !id.is_empty();
    // returned messages are matched by their id, so an empty one is replaced too
    if !properties.message_id.as_deref().is_some_and(is_id) {
        let id = id.filter(|id| is_id(id)).map(str::to_owned);
        properties.message_id = id.or_else(|| Some(random()));
    }
    properties.persistent = true;
    // it would end the message in the middle of its way, without a trace
    properties.expiration = None;
    // the broker closes the channel of who sends under another user's name
    properties.user_id = None;
    // CC and BCC are further routing keys: the broker would send copies to other queues
    headers.retain(|name| !name.starts_with("x-") && !matches!(name, "CC" | "BCC"));
    Message { routing_key: queue.to_owned(), properties, headers, body }
}

fn random() -> String {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_id_gets_the_one_given_or_a_random_one() {
        let under = |own: Option<&str>, given| {
            let mut message = Message::default();
            message.properties.message_id = own.map(str::to_owned);
            resent(message, "q", given).properties.message_id.unwrap()
        };
        assert_eq!(under(Some("own"), Some("given")), "own");
        assert_eq!(under(Some(""), Some("given")), "given");
        assert_eq!(under(None, Some("given")), "given");
        for given in [None, Some("")] {
            let random = under(Some(""), given);
            assert_eq!(uuid::Uuid::parse_str(&random).unwrap().get_version_num(), 4);
            assert_ne!(under(None, given), random);
        }
    }
}
