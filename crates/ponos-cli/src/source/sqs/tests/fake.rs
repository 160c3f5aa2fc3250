//! An SQS of one queue, as far as the source asks it: messages are hidden for a while once they are received, and gone once they
//! are deleted by the handle of the last receiving. It can be told to fail.

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};

/// One of them; ends when it is dropped.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

/// What it has, and what was done.
#[derive(Default)]
pub(super) struct State {
    messages: Vec<Message>,
    /// The ids of what was deleted.
    pub(super) deleted: Vec<String>,
    /// Ids, and for how many seconds.
    pub(super) extended: Vec<(String, u64)>,
    /// Answers to the next calls of these names, instead of what would be right.
    pub(super) instead: VecDeque<(&'static str, u16, Value)>,
    /// The names of all calls.
    pub(super) calls: Vec<String>,
}

struct Message {
    id: String,
    body: String,
    group: Option<String>,
    hidden: Option<Instant>,
    receives: u32,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::<Mutex<State>>::default());
        let shared = Arc::clone(&state);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                let service = service_fn(move |request| {
                    let state = Arc::clone(&state);
                    async move { Ok::<_, Infallible>(answer(&state, request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, state, serving }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn put(&self, id: &str, body: &Value, group: Option<&str>) {
        self.put_all(&[(id, body.clone(), group)]);
    }

    /// All of them at once, so that one call receives them.
    pub(super) fn put_all(&self, messages: &[(&str, Value, Option<&str>)]) {
        let messages = messages.iter().map(|(id, body, group)| {
            let (id, body, group) = ((*id).to_owned(), body.to_string(), group.map(str::to_owned));
            Message { id, body, group, hidden: None, receives: 0 }
        });
        self.state().messages.extend(messages);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl State {
    pub(super) fn count(&self, call: &str) -> usize {
        self.calls.iter().filter(|known| *known == call).count()
    }

    /// How often it was received.
    pub(super) fn receives(&self, id: &str) -> u32 {
        self.messages.iter().find(|message| message.id == id).map_or(0, |message| message.receives)
    }

    /// Hides it for so long, and gives its handle; nothing of a group of which one is hidden already.
    fn receive(&mut self, most: usize, seconds: u64) -> Vec<Value> {
        let now = Instant::now();
        let is_hidden = |message: &Message| message.hidden.is_some_and(|until| until > now);
        let hidden: Vec<_> =
            self.messages.iter().filter(|one| is_hidden(one)).filter_map(|one| one.group.clone()).collect();
        let free = self
            .messages
            .iter_mut()
            .filter(|one| !is_hidden(one) && one.group.as_ref().is_none_or(|group| !hidden.contains(group)));
        free.take(most)
            .map(|one| {
                one.hidden = Some(now + Duration::from_secs(seconds));
                one.receives += 1;
                let handle = format!("{}#{}", one.id, one.receives);
                let mut attributes = json!({ "SentTimestamp": "1796057161452" });
                if let Some(group) = &one.group {
                    attributes["MessageGroupId"] = group.as_str().into();
                }
                json!({ "MessageId": one.id, "ReceiptHandle": handle, "Body": one.body, "Attributes": attributes })
            })
            .collect()
    }

    /// The message of a handle, if nobody has received it since.
    fn at(&self, handle: &Value) -> Option<usize> {
        let handle = handle.as_str()?;
        self.messages.iter().position(|one| format!("{}#{}", one.id, one.receives) == handle)
    }

    fn each(&mut self, asked: &Value, mut act: impl FnMut(&mut Self, usize, &Value)) -> Value {
        let mut failed = Vec::new();
        for entry in asked["Entries"].as_array().unwrap() {
            match self.at(&entry["ReceiptHandle"]) {
                Some(at) => act(self, at, entry),
                None => failed.push(
                    json!({ "Id": entry["Id"], "SenderFault": true, "Code": "ReceiptHandleIsInvalid" }),
                ),
            }
        }
        json!({ "Successful": [], "Failed": failed })
    }
}

async fn answer(state: &Mutex<State>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let text = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
    let (action, signed) = (text("x-amz-target"), text("authorization"));
    assert!(
        signed.starts_with("AWS4-HMAC-SHA256 Credential=AKID/")
            && text("content-type") == "application/x-amz-json-1.0"
    );
    let action = action.strip_prefix("AmazonSQS.").unwrap().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let (status, answer) = answered(state, &action, &asked).await;
    let mut response = Response::new(Full::from(answer.to_string()));
    *response.status_mut() = status.try_into().unwrap();
    response
}

async fn answered(state: &Mutex<State>, action: &str, asked: &Value) -> (u16, Value) {
    {
        let mut state = state.lock().unwrap();
        state.calls.push(action.to_owned());
        if let Some(at) = state.instead.iter().position(|(call, ..)| *call == action) {
            let (_, status, answer) = state.instead.remove(at).unwrap();
            return (status, answer);
        }
    }
    let until = Instant::now() + Duration::from_secs(asked["WaitTimeSeconds"].as_u64().unwrap_or_default());
    let answer = match action {
        "ReceiveMessage" => loop {
            let most = usize::try_from(asked["MaxNumberOfMessages"].as_u64().unwrap()).unwrap();
            let found = state.lock().unwrap().receive(most, asked["VisibilityTimeout"].as_u64().unwrap());
            if !found.is_empty() {
                break json!({ "Messages": found });
            }
            if Instant::now() >= until {
                break json!({});
            }
            // the long poll
            tokio::time::sleep(Duration::from_millis(10)).await;
        },
        "DeleteMessageBatch" => state.lock().unwrap().each(asked, |state, at, _| {
            let message = state.messages.remove(at);
            state.deleted.push(message.id);
        }),
        "ChangeMessageVisibilityBatch" => state.lock().unwrap().each(asked, |state, at, entry| {
            let seconds = entry["VisibilityTimeout"].as_u64().unwrap();
            let message = &mut state.messages[at];
            message.hidden = Some(Instant::now() + Duration::from_secs(seconds));
            let id = message.id.clone();
            state.extended.push((id, seconds));
        }),
        other => panic!("{other}"),
    };
    (200, answer)
}
