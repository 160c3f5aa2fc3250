//! A write fails while a page is being read.

use super::*;
use crate::store::{ChangePage, Page};
use std::sync::{Mutex, RwLock};

/// A store whose writes fail, and of which a page hangs in the disk: letting it go waits for that.
struct BeingRead {
    store: Box<dyn Store>,
    fails: StoreError,
    reader: Arc<HangingReader>,
}

struct HangingReader {
    page: RwLock<()>,
    begun: mpsc::UnboundedSender<()>,
    go_on: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl PageReader for HangingReader {
    fn read(&self, _: u64, _: usize) -> Result<Page, StoreError> {
        let _page = self.page.read();
        self.begun.send(()).unwrap();
        self.go_on.lock().unwrap().recv().unwrap();
        Ok(Page::default())
    }

    fn changes(&self, _: u64, _: usize) -> Result<ChangePage, StoreError> {
        Ok(ChangePage::default())
    }
}

impl Store for BeingRead {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        self.store.load()
    }

    fn save(&mut self, _: u64, _: &Commit) -> Result<u64, StoreError> {
        Err(self.fails.clone())
    }

    fn append(&mut self, _: u64, _: &[Row], _: Timestamp) -> Result<u64, StoreError> {
        Err(self.fails.clone())
    }

    fn reader(&self) -> Arc<dyn PageReader> {
        self.reader.clone()
    }

    fn written(&self) -> Written {
        self.store.written()
    }

    fn id(&self) -> u64 {
        self.store.id()
    }
}

impl Drop for BeingRead {
    fn drop(&mut self) {
        drop(self.reader.page.write());
    }
}

#[tokio::test]
async fn a_failure_is_told_while_a_page_hangs_and_readers_do_not_wait_behind_that() {
    let full = StoreError::Io { path: "store".into(), what: "the disk is full".into() };
    for (fails, then) in [(full, ["reopened", "saved 1 0"].as_slice()), (damaged(), &[])] {
        let memory = Memory::default();
        let (begun, mut begins) = mpsc::unbounded_channel();
        let (let_go, go_on) = std::sync::mpsc::channel();
        let reader = Arc::new(HangingReader { page: RwLock::new(()), begun, go_on: Mutex::new(go_on) });
        let store = Box::new(memory.open("khronos", Limits::default()).unwrap());
        let mut first = Some(BeingRead { store, fails: fails.clone(), reader });
        let mut reopens = opener(&memory);
        let opener: Opener = Box::new(move || match first.take() {
            Some(first) => Ok(Box::new(first)),
            None => reopens(),
        });
        let patience = Duration::from_secs(60);
        let (store, _, mut events) = open(opener, Tuning { patience, ..tuning() }, counts()).await.unwrap();
        let asking = store.clone();
        let page = tokio::spawn(async move { asking.read(0, 9).await });
        begins.recv().await.unwrap();
        store.save(1, commit(1, vec![])).unwrap();
        let told_now = tokio::time::timeout(Duration::from_secs(60), events.recv()).await;
        match told_now.expect("it is told while the page hangs").unwrap() {
            StoreEvent::Failing { error } | StoreEvent::SaveFailed { error, .. } => {
                assert_eq!(error.to_string(), fails.to_string());
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(store.read(0, 9).await.unwrap_err().to_string(), fails.to_string());
        let_go.send(()).unwrap();
        drop(page.await.unwrap());
        let closed = store.close().await;
        assert_eq!(closed.is_ok(), !then.is_empty(), "{closed:?}");
        assert_eq!(told(events).await, then);
    }
}
