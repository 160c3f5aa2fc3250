//! What is let in.

use super::*;
use crate::delayed::{NotNow, thread::Room};

#[tokio::test]
async fn what_is_let_in_is_counted_until_it_is_given_back() {
    let (memory, (script, _)) = (DelayedMemory::default(), Script::new());
    let (store, ..) = started(&memory, &script, DelayedTuning { under_way: 100, ..tuning() }).await;
    let refused = |asked: Result<Room, NotNow>| match asked {
        Err(NotNow::TooMany { under_way }) => under_way,
        other => panic!("{other:?}"),
    };
    let first = store.room_for(60, 1).unwrap();
    let second = store.clone().room_for(40, 9).unwrap();
    assert_eq!(refused(store.room_for(1, 1)), 100);
    drop(first);
    assert_eq!(refused(store.room_for(61, 1)), 40);
    let _third = store.room_for(60, 1).unwrap();
    drop(second);
    assert_eq!(refused(store.room_for(41, 1)), 60, "who is refused is not counted");
    let _fourth = store.room_for(40, 1).unwrap();
}

#[tokio::test]
async fn what_comes_alone_may_be_larger() {
    let (memory, (script, _)) = (DelayedMemory::default(), Script::new());
    let (store, ..) = started(&memory, &script, DelayedTuning { under_way: 100, ..tuning() }).await;
    let large = store.room_for(1_000, 1).unwrap();
    assert!(matches!(store.room_for(1, 1), Err(NotNow::TooMany { .. })));
    drop(large);
    let _small = store.room_for(1, 1).unwrap();
    assert!(matches!(store.room_for(1_000, 1), Err(NotNow::TooMany { .. })));
}

/// A store on a memory whose disk has room for so many bytes and events, and no more.
struct Small(Box<dyn DelayedStore>, (usize, usize));

impl DelayedStore for Small {
    fn load(&mut self) -> Result<crate::delayed::DelayedSnapshot, StoreError> {
        self.0.load()
    }

    fn write(
        &mut self,
        term: u64,
        batch: &DelayedBatch,
    ) -> Result<crate::delayed::DelayedWritten, StoreError> {
        self.0.write(term, batch)
    }

    fn flush(&mut self, term: u64) -> Result<(), StoreError> {
        self.0.flush(term)
    }

    fn reader(&self) -> Arc<dyn crate::delayed::DelayedReader> {
        self.0.reader()
    }

    fn room(&self) -> crate::delayed::DelayedRoom {
        let most = self.1;
        Arc::new(move |bytes, count| {
            let full = StoreError::NoRoom { path: "store".into(), free: 1, needed: 2 };
            if bytes <= most.0 && count <= most.1 { Ok(()) } else { Err(full) }
        })
    }

    fn written(&self) -> crate::store::Written {
        self.0.written()
    }

    fn id(&self) -> u64 {
        self.0.id()
    }
}

#[tokio::test]
async fn a_disk_has_room_for_all_that_is_under_way() {
    let (memory, (script, _)) = (DelayedMemory::default(), Script::new());
    let mut opens = opener(&memory, &script);
    let (store, ..) =
        open(Box::new(move || Ok(Box::new(Small(opens()?, (100, 5))))), tuning()).await.unwrap();
    let is_full = |asked: Result<Room, NotNow>| matches!(asked, Err(NotNow::Full(StoreError::NoRoom { .. })));
    assert!(is_full(store.room_for(101, 1)));
    assert!(is_full(store.room_for(1, 6)));
    let first = store.room_for(60, 3).unwrap();
    assert!(is_full(store.room_for(41, 1)), "with the bytes that are under way");
    assert!(is_full(store.room_for(40, 3)), "with the events that are under way");
    let _second = store.room_for(40, 2).unwrap();
    drop(first);
    let _third = store.room_for(60, 3).unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_before_anything_is_decided_and_says_what_to_do() {
    let (memory, (script, _)) = (DelayedMemory::default(), Script::new());
    let (store, ..) = started(&memory, &script, tuning()).await;
    memory.fill(Some((10, 20)));
    let refused = store.room_for(1, 1).unwrap_err();
    assert!(matches!(refused, NotNow::Full(StoreError::NoRoom { free: 10, needed: 20, .. })));
    assert!(refused.to_string().contains("make room"), "{refused}");
    memory.fill(None);
    let _room = store.room_for(1, 1).unwrap();
}
