//! The bytes of what lies in the store: whatever changes in the code, those are read. Texts of bytes are hexadecimal.

use super::{
    encoding::{self, Unreadable},
    files::{self, DATABASE},
    fixture::{batch, everything, fill, open},
    meta::{FORM, Meta},
    pages::{FILE_FORM, PAGE},
    seal::{self, Seal},
    tables,
};
use crate::{
    delayed::conformance::{full, t},
    engine::{
        Outcome,
        delayed::{
            Balance, DelayedBatch, DelayedContent, DelayedKey, DelayedRow, DelayedStep, DelayedStore as _,
            OwnerShare, ParkedEvent, Tombstone,
        },
    },
    store::StoreError,
};
use ::redb::{AccessGuard, Builder, ReadableTable as _, ReadableTableMetadata as _, StorageBackend as _};
use ponos::event::Timestamp;
use std::{fs, path::Path};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|two| two[0] * 16 + two[1]).collect()
}

fn read<T>(read: Result<T, Unreadable>) -> T {
    read.unwrap()
}

fn content() -> DelayedContent {
    DelayedContent { data: (*b"data").into(), ..full("a", 10).content }
}

const HEAD: &str = "e807ffffffffffffffffff01ac020762696c6c696e67126f726465722e72656d696e6465722e64756501\
    15646f636b65722e696d616765732e636c65616e75700003f28facf3da66000102030405060708090a0b0c0d0e0f";
const CONTENT: &str = "01186170706c69636174696f6e2f6f637465742d73747265616d157b2261223a224772c3bcc39f655c7530303030227d\
    01076f726465722037\
    01feffffffffffffffff01\
    0164617461";

#[test]
fn keys_are_as_they_were_first_written() {
    let key = DelayedKey { send: t(10), name: "é".into() };
    assert_eq!(hex(&encoding::place(&key)), "8000019ad735840ac3a9");
    assert_eq!(read(encoding::read_place(&bytes("8000019ad735840ac3a9"))), key);
    assert_eq!(hex(&encoding::time(Timestamp::from_millis(-1))), "7fffffffffffffff");
    assert_eq!(hex(&encoding::number(300)), "000000000000012c");
    assert_eq!(
        hex(&encoding::message_key(&("billing".into(), "id é".into()))),
        "000762696c6c696e67696420c3a9"
    );
    assert_eq!(read(encoding::message_owner(&bytes("000762696c6c696e67696420c3a9"))), b"billing");
}

#[test]
fn events_are_read_as_they_were_first_written() {
    let mut event = full("a", 10);
    event.content = content();
    let written = format!("{HEAD}{CONTENT}");
    assert_eq!(hex(&read(encoding::event(&event))), written);
    let place = encoding::place(&event.head.key);
    assert_eq!(read(encoding::read_event(&place, &bytes(&written))), event);
    assert_eq!(read(encoding::read_head(&place, &bytes(&written))), event.head);
    assert_eq!(read(encoding::read_due(&place, &bytes(&written))), (&event.head).into());
    // What is published may be anything, its data nothing; before it ends nothing else does.
    assert_eq!(
        read(encoding::read_event(&place, &bytes(&written)[..written.len() / 2 - 4])).content.data.len(),
        0
    );
    assert!(encoding::read_event(&place, &bytes(&written)[..written.len() / 2 - 5]).is_err());
}

#[test]
fn rows_and_parked_events_are_read_as_they_were_first_written() {
    let mut event = full("a", 10);
    event.content = content();
    let row = |content| DelayedRow::of(&event.head, t(1), Outcome::Parked("full".into()), content);
    let without = "8290acf3da660161ffffffffffffffffff01ac02ac88acf3da660762696c6c696e67126f726465722e72656d696e646572\
        2e6475650115646f636b65722e696d616765732e636c65616e7570020466756c6c";
    for (content, written) in
        [(None, format!("{without}00")), (Some(content()), format!("{without}01{CONTENT}"))]
    {
        let row = row(content);
        assert_eq!(hex(&read(encoding::row(&row))), written);
        assert_eq!(read(encoding::read_row(&bytes(&written))), row);
    }
    assert!(encoding::read_row(&bytes(&format!("{without}0000"))).is_err(), "something is behind it");
    let parked = ParkedEvent { event, reason: "full".into(), since: t(1), released: true };
    let written = format!("0466756c6c8290acf3da66019490acf3da660161{HEAD}{CONTENT}");
    assert_eq!(hex(&read(encoding::parked(&parked))), written);
    assert_eq!(read(encoding::read_parked(&bytes(&written))), parked);
}

#[test]
fn what_is_beside_is_read_as_it_was_first_written() {
    let tombstone = Tombstone::of(&full("a", 10).head, t(1));
    let written = "8290acf3da66ac88acf3da66ffffffffffffffffff01ac020762696c6c696e67126f726465722e72656d696e6465722e\
        647565000102030405060708090a0b0c0d0e0f";
    assert_eq!(hex(&read(encoding::value(&tombstone))), written);
    assert_eq!(read(encoding::read::<Tombstone>(&bytes(written))), tombstone);
    let share = OwnerShare { pending: 300, parked: 5, answers: 1 };
    assert_eq!(hex(&read(encoding::share(&share))), "ac020105");
    assert_eq!(read(encoding::read_share(&bytes("ac020105"))), share);
    let of_the_first_form = OwnerShare { parked: 0, ..share };
    assert_eq!(read(encoding::read_share(&bytes("ac0201"))), of_the_first_form);
}

fn meta() -> Meta {
    Meta {
        form: 1,
        store: 300,
        clock: "khronos".into(),
        generation: 7,
        writer: 8,
        term: 9,
        created: 10,
        balance: Balance { accepted: 6, settled: 3, cancelled: 2, pending: 1 },
        first_row: 11,
        last_row: 12,
        first_change: 13,
        last_change: 14,
    }
}

#[test]
fn what_the_store_says_of_itself_is_read_as_it_was_first_written() {
    let written = "01ac02076b68726f6e6f730708090a060302010b0c0d0e";
    assert_eq!(hex(&read(encoding::value(&meta()))), written);
    assert_eq!(read(encoding::read_meta(&bytes(written))).unwrap(), meta());
    assert_eq!(read(encoding::read_meta(&bytes("03ff"))).unwrap_err(), 3, "of which only the form is known");
}

#[test]
fn the_files_begin_as_they_were_first_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("delayed");
    fill(&path, 4);
    let database = fs::read(path.join(DATABASE)).unwrap();
    assert_eq!(hex(&database[..24]), "6b68726f6e6f732064656c617965640a010000001d0bbca2");
    // Behind a page of sums, redb's first one.
    assert_eq!(&database[2 * PAGE as usize..][..4], b"redb");
    fs::remove_file(path.join(seal::NAME)).unwrap();
    drop(seal::create(&path, &meta()).unwrap());
    let said = fs::read(path.join(seal::NAME)).unwrap();
    assert_eq!(hex(&said[20..]), "2c010000000000000700000000000000113198ef");
}

#[test]
fn in_a_store_of_the_first_form_parked_events_are_counted_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("delayed");
    let before = fill(&path, 8);
    let (owner, share) = before.snapshot.owners[0].clone();
    assert!(before.parked.len() > 1 && share.parked == before.parked.len() as u64);
    for _ in 0..2 {
        // As it was written by that form.
        let pages = files::open(&path).unwrap();
        assert_ne!(pages.len().unwrap(), 0);
        let db = Builder::new().create_with_backend(pages).unwrap();
        let transaction = db.begin_write().unwrap();
        let mut entry = tables::written(&transaction, tables::META).unwrap();
        let meta = entry.get(encoding::META).unwrap().unwrap().value().to_vec();
        let meta = Meta { form: 1, ..read(encoding::read_meta(&meta)).unwrap() };
        entry.insert(encoding::META, &read(encoding::value(&meta))[..]).unwrap();
        drop(entry);
        let mut owners = tables::written(&transaction, tables::OWNERS).unwrap();
        let said = read(encoding::share(&share));
        owners.insert(owner.as_bytes(), &said[..said.len() - 1]).unwrap();
        drop(owners);
        transaction.delete_table(tables::RELEASED).unwrap();
        transaction.commit().unwrap();
        drop(db);
        assert_eq!(everything(&path, 8).unwrap(), before);
    }
    assert_eq!(open(&path).unwrap().meta.form, FORM);
}

/// Works on the database as no version of this program does.
fn meddle(path: &Path, meddle: impl FnOnce(&::redb::WriteTransaction)) {
    let pages = files::open(path).unwrap();
    assert_ne!(pages.len().unwrap(), 0);
    let db = Builder::new().create_with_backend(pages).unwrap();
    let transaction = db.begin_write().unwrap();
    meddle(&transaction);
    transaction.commit().unwrap();
}

fn of_the_first_form(transaction: &::redb::WriteTransaction) {
    let mut entry = tables::written(transaction, tables::META).unwrap();
    let meta = entry.get(encoding::META).unwrap().unwrap().value().to_vec();
    let meta = Meta { form: 1, ..read(encoding::read_meta(&meta)).unwrap() };
    entry.insert(encoding::META, &read(encoding::value(&meta))[..]).unwrap();
    entry.remove(encoding::CHANGES_BYTES).unwrap();
    drop(entry);
    transaction.delete_table(tables::RELEASED).unwrap();
    let mut owners = tables::written(transaction, tables::OWNERS).unwrap();
    let owned = |(owner, share): (AccessGuard<'_, &[u8]>, AccessGuard<'_, &[u8]>)| {
        (owner.value().to_vec(), share.value().to_vec())
    };
    let kept: Vec<_> = owners.iter().unwrap().map(|entry| owned(entry.unwrap())).collect();
    for (owner, share) in kept {
        let share = OwnerShare { parked: 0, ..read(encoding::read_share(&share)) };
        owners.insert(&owner[..], &read(encoding::share(&share))[..]).unwrap();
    }
}

#[test]
fn in_a_store_of_the_first_form_what_the_log_of_changes_takes_is_counted_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("delayed");
    let before = fill(&path, 8);
    let bytes: u64 = before.changes.iter().map(|(_, change)| change.bytes() as u64).sum();
    assert!(bytes > 0);
    meddle(&path, of_the_first_form);
    drop(open(&path).unwrap());
    meddle(&path, |transaction| {
        let entry = tables::written(transaction, tables::META).unwrap();
        let said = entry.get(encoding::CHANGES_BYTES).unwrap().unwrap();
        assert_eq!(read(encoding::read::<u64>(said.value())), bytes);
    });
}

#[test]
fn a_store_of_the_first_form_with_parked_events_that_can_t_be_read_opens_and_does_not_count_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("delayed");
    let before = fill(&path, 8);
    let parked = before.parked.len() as u64;
    let (first, second) = (before.parked[0].event.head.creation, before.parked[1].event.head.creation);
    let mut row = Vec::new();
    meddle(&path, |transaction| {
        of_the_first_form(transaction);
        let mut table = tables::written(transaction, tables::PARKED).unwrap();
        for creation in [first, second] {
            let kept = table.insert(&encoding::number(creation)[..], &[0xff; 3][..]).unwrap();
            row = kept.unwrap().value().to_vec();
        }
    });
    let mut store = open(&path).unwrap();
    assert_eq!(store.load().unwrap().owners[0].1.parked, parked - 2);
    assert!(matches!(store.reader().parked_as(first), Err(StoreError::Damaged { .. })));
    // One that is not counted, and can be read after all, can be dropped though no share is left of it.
    drop(store);
    meddle(&path, |transaction| {
        let mut table = tables::written(transaction, tables::PARKED).unwrap();
        table.insert(&encoding::number(second)[..], &row[..]).unwrap();
    });
    let mut store = open(&path).unwrap();
    for parked in &before.parked[1..] {
        let creation = parked.event.head.creation;
        let unpark = DelayedStep::Unpark { creation, outcome: Outcome::Dropped, keeps_content: false };
        store.write(0, &DelayedBatch { now: t(9), steps: vec![unpark], ..Default::default() }).unwrap();
    }
    let left = store.load().unwrap().owners;
    assert!(left.iter().all(|(_, share)| share.parked == 0), "{left:?}");
}

#[test]
fn what_is_released_is_noted_beside_it_and_its_row_is_not_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("delayed");
    let before = fill(&path, 8);
    let released = before.parked[0].event.head.creation;
    let key = encoding::number(released);
    let row = |path: &Path| {
        let mut row = Vec::new();
        meddle(path, |transaction| {
            let table = tables::written(transaction, tables::PARKED).unwrap();
            row = table.get(&key[..]).unwrap().unwrap().value().to_vec();
        });
        row
    };
    let was = row(&path);
    let mut store = open(&path).unwrap();
    let steps = vec![DelayedStep::Release(released), DelayedStep::Release(u64::MAX)];
    store.write(0, &DelayedBatch { now: t(9), steps, ..Default::default() }).unwrap();
    assert!(store.reader().parked_as(released).unwrap().unwrap().released);
    drop(store);
    assert_eq!(row(&path), was);
    meddle(&path, |transaction| {
        let noted = tables::written(transaction, tables::RELEASED).unwrap();
        assert_eq!(noted.len().unwrap(), 1, "what is not parked is not noted");
        assert_eq!(noted.get(&key[..]).unwrap().unwrap().value(), [0; 0]);
    });
    let mut store = open(&path).unwrap();
    let outcome = Outcome::Parked("again".into());
    let steps = vec![DelayedStep::Unpark { creation: released, outcome, keeps_content: false }];
    store.write(0, &DelayedBatch { now: t(10), steps, ..Default::default() }).unwrap();
    assert!(!store.reader().parked_as(released).unwrap().unwrap().released, "it goes with what was parked");
}

fn assert_newer(path: &Path, newer: u32, understood: u32) {
    match open(path).err().unwrap() {
        StoreError::Newer { form, known, .. } => assert_eq!((form, known), (newer, understood)),
        other => panic!("{other}"),
    }
}

#[test]
fn a_newer_form_is_refused_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("delayed");
    let before = fill(&path, 4);
    let whole = fs::read(path.join(DATABASE)).unwrap();

    // Of the file.
    let mut newer = whole.clone();
    newer[16] = FILE_FORM as u8 + 1;
    let sum = crc32fast::hash(&newer[..20]).to_le_bytes();
    newer[20..24].copy_from_slice(&sum);
    fs::write(path.join(DATABASE), newer).unwrap();
    assert_newer(&path, FILE_FORM + 1, FILE_FORM);

    // Of what is in it.
    fs::write(path.join(DATABASE), &whole).unwrap();
    assert_eq!(everything(&path, 4).unwrap(), before);
    let pages = files::open(&path).unwrap();
    assert_ne!(pages.len().unwrap(), 0);
    let db = Builder::new().create_with_backend(pages).unwrap();
    let transaction = db.begin_write().unwrap();
    let mut entry = tables::written(&transaction, tables::META).unwrap();
    entry.insert(encoding::META, &[FORM as u8 + 1, 255][..]).unwrap();
    drop(entry);
    transaction.commit().unwrap();
    drop(db);
    assert_newer(&path, FORM + 1, FORM);
}

#[test]
fn a_seal_says_the_newer_of_two() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("delayed");
    fill(&path, 4);
    let (mut seal, said): (Seal, _) = seal::open(&path).unwrap().unwrap();
    assert_eq!((said.generation, batch(1).steps.len()), (4, 9));
    for generation in [5, 6, 7] {
        seal.say(&Meta { generation, store: said.store, ..meta() }).unwrap();
        assert_eq!(seal::open(&path).unwrap().unwrap().1.generation, generation);
    }
}
