//! The tree of the audit trail. Only the committing thread writes it.
//!
//! | key | value |
//! |---|---|
//! | `0` | the next number, and how many entries each class has: four `u64`, big endian |
//! | `0`, a number | the time went back when this number was the next one: to which moment, in seconds, a `u64` |
//! | a class (`1` to `3`), a number | `EventRecord`, JSON |
//!
//! Numbers are `u64`, big endian. One sequence of them is for all classes, so the order of entries depends on no clock.

use std::{cmp::Reverse, ops::RangeInclusive};

use sled::{Batch, IVec};

use super::Trees;
use crate::{
    clock::Timestamp,
    domain::{UserId, Username},
    event::{EventClass, TrailBounds, TrailCursor, TrailOrder, TrailPage, TrailQuery},
    store::{
        error::StoreError,
        records::{event::EventRecord, format},
        sled::memory::waiting::{WaitingEvent, WaitingEvents},
    },
};

const TOTALS: &[u8] = &[0];
/// How many entries one page is looked for in. So a query that finds nothing takes milliseconds, and its reader asks again.
const EXAMINED: usize = 2000;

/// What is known of all entries.
struct Totals {
    next: u64,
    counts: [u64; 3],
}

/// When the time went back.
struct StepBack {
    /// Entries with lower numbers were kept before that.
    next: u64,
    to: Timestamp,
}

impl Trees {
    /// The number that the next entry gets.
    pub(crate) fn next_event(&self) -> Result<u64, StoreError> {
        Ok(self.totals()?.next)
    }

    /// Writes `events`, unless an earlier try has done so, and returns the number of the next one.
    pub(crate) fn append_events(
        &self,
        events: &mut [WaitingEvent],
        waiting: &WaitingEvents,
    ) -> Result<u64, StoreError> {
        if events.is_empty() {
            return Ok(waiting.durable());
        }
        let mut totals = self.totals()?;
        let mut batch = Batch::default();
        for waits in events {
            let class = waits.event.class();
            if let Some(number) = waits.number {
                let there = self.trail.contains_key(key(class, number));
                if there.map_err(StoreError::failed)? {
                    continue;
                }
            }
            let number = totals.next;
            let name = |user| self.name_of(user, waiting);
            let record = EventRecord::write(&waits.event, waits.times, name)?;
            batch.insert(key(class, number).as_slice(), record);
            waits.number = Some(number);
            totals.next += 1;
            totals.counts[at(class)] += 1;
        }
        totals.put(&mut batch);
        self.trail.apply_batch(batch).map_err(StoreError::failed)?;
        Ok(totals.next)
    }

    fn name_of(&self, user: UserId, waiting: &WaitingEvents) -> Result<Option<Username>, StoreError> {
        let found = match self.user(user) {
            Ok(found) => found.map(|user| user.username),
            // The other events of the group are not to be lost with one name.
            Err(StoreError::Unreadable(_) | StoreError::NewerRecord { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(found.or_else(|| waiting.deleted(user)))
    }

    /// Returns a page of the entries whose numbers are below `durable`.
    pub(crate) fn events(&self, query: &TrailQuery, durable: u64) -> Result<TrailPage, StoreError> {
        let Some(last) = durable.checked_sub(1) else {
            return Ok(TrailPage::default());
        };
        let after = query.after.map(TrailCursor::number);
        let numbers = match (query.order, after) {
            (TrailOrder::NewestFirst, Some(0)) => return Ok(TrailPage::default()),
            (TrailOrder::NewestFirst, Some(after)) => 0..=last.min(after - 1),
            (TrailOrder::OldestFirst, Some(after)) => after.saturating_add(1)..=last,
            (_, None) => 0..=last,
        };
        if numbers.is_empty() {
            return Ok(TrailPage::default());
        }
        let mut page = TrailPage::default();
        let mut seen = None;
        for (examined, entry) in self.in_order(&numbers, query.order).enumerate() {
            let (number, bytes) = entry?;
            if examined == EXAMINED || page.entries.len() == query.limit.get() {
                page.next = seen;
                return Ok(page);
            }
            let place = TrailCursor::new(number);
            let entry = EventRecord::read(place, &bytes)?;
            if query.matches(&entry) {
                page.entries.push(entry);
            }
            seen = Some(place);
        }
        Ok(page)
    }

    /// The entries of every class with these numbers, in this order.
    fn in_order(
        &self,
        numbers: &RangeInclusive<u64>,
        order: TrailOrder,
    ) -> impl Iterator<Item = Result<(u64, IVec), StoreError>> + use<> {
        let mut classes = EventClass::ALL.map(|class| {
            let (first, last) = (key(class, *numbers.start()), key(class, *numbers.end()));
            let mut range = self.trail.range(first.as_slice()..=last.as_slice());
            std::iter::from_fn(move || match order {
                TrailOrder::NewestFirst => range.next_back(),
                TrailOrder::OldestFirst => range.next(),
            })
            .map(numbered)
            .peekable()
        });
        std::iter::from_fn(move || {
            let next = |entry: Option<&Result<(u64, IVec), StoreError>>| match entry {
                // An error is handed out at once.
                Some(Err(_)) => Some((0, Reverse(u64::MAX))),
                Some(Ok((number, _))) => Some((1, Reverse(*number))),
                None => None,
            };
            let heads = classes.iter_mut().enumerate();
            let heads = heads.filter_map(|(class, entries)| Some((next(entries.peek())?, class)));
            let first = match order {
                TrailOrder::NewestFirst => heads.min(),
                TrailOrder::OldestFirst => heads.min_by_key(|((ok, Reverse(number)), _)| (*ok, *number)),
            };
            classes[first?.1].next()
        })
    }

    /// Whether there are entries that the trail does not have by `bounds`.
    pub(crate) fn has_old_events(&self, bounds: TrailBounds) -> Result<bool, StoreError> {
        let steps = self.steps_back()?;
        let totals = self.totals()?;
        for class in EventClass::ALL {
            if totals.counts[at(class)] > bounds.at_most {
                return Ok(true);
            }
            let mut entries = self.trail.scan_prefix([tag(class)]);
            let first = entries.next().map(numbered).transpose()?;
            if first.is_some_and(|(number, bytes)| moment(number, &bytes, &steps) < bounds.before) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes up to `at_most` such entries, the oldest of each class first, and returns how many.
    pub(crate) fn remove_old_events(&self, bounds: TrailBounds, at_most: usize) -> Result<usize, StoreError> {
        let steps = self.steps_back()?;
        let mut totals = self.totals()?;
        let mut batch = Batch::default();
        let mut removed = 0;
        let mut oldest = totals.next;
        for class in EventClass::ALL {
            let count = &mut totals.counts[at(class)];
            for entry in self.trail.scan_prefix([tag(class)]) {
                let (number, bytes) = numbered(entry)?;
                let is_old = *count > bounds.at_most || moment(number, &bytes, &steps) < bounds.before;
                if !is_old || removed == at_most {
                    oldest = oldest.min(number);
                    break;
                }
                batch.remove(key(class, number).as_slice());
                *count = count.saturating_sub(1);
                removed += 1;
            }
        }
        for step in steps.iter().filter(|step| step.next <= oldest) {
            batch.remove(step.key().as_slice());
        }
        totals.put(&mut batch);
        self.trail.apply_batch(batch).map_err(StoreError::failed)?;
        Ok(removed)
    }

    /// Notes that the time goes back to `to`: entries from before count as if they were no later, so that they are not kept
    /// longer than others. Their own times stay as they are.
    pub(crate) fn note_step_back(&self, to: Timestamp) -> Result<(), StoreError> {
        let step = StepBack {
            next: self.totals()?.next,
            to,
        };
        super::put(&self.trail, &step.key(), &to.as_secs().to_be_bytes())
    }

    fn steps_back(&self) -> Result<Vec<StepBack>, StoreError> {
        let steps = self.trail.scan_prefix(TOTALS).skip(1).map(|step| {
            let (key, to) = step.map_err(StoreError::failed)?;
            let next = format::fixed(&key[1..], "number of an event")?;
            Ok(StepBack {
                next: u64::from_be_bytes(next),
                to: Timestamp::from_secs(format::counter(Some(&to))?),
            })
        });
        steps.collect()
    }

    fn totals(&self) -> Result<Totals, StoreError> {
        let Some(bytes) = self.trail.get(TOTALS).map_err(StoreError::failed)? else {
            return Ok(Totals {
                next: 1,
                counts: [0; 3],
            });
        };
        let bytes: [u8; 32] = format::fixed(&bytes, "count of events")?;
        let (numbers, _) = bytes.as_chunks::<8>();
        let number = |at: usize| u64::from_be_bytes(numbers[at]);
        Ok(Totals {
            next: number(0),
            counts: [number(1), number(2), number(3)],
        })
    }
}

impl Totals {
    fn put(&self, batch: &mut Batch) {
        let [one, two, three] = self.counts;
        let bytes: Vec<u8> = [self.next, one, two, three]
            .iter()
            .flat_map(|number| number.to_be_bytes())
            .collect();
        batch.insert(TOTALS, bytes);
    }
}

impl StepBack {
    fn key(&self) -> [u8; 9] {
        numbered_key(0, self.next)
    }
}

/// When the entry happened, as far as its age counts. An entry that can't be read counts as old.
fn moment(number: u64, bytes: &[u8], steps: &[StepBack]) -> Timestamp {
    let at = EventRecord::moment(bytes).unwrap_or_default();
    let later = steps.iter().filter(|step| number < step.next);
    later.fold(at, |at, step| at.min(step.to))
}

const fn at(class: EventClass) -> usize {
    match class {
        EventClass::Administration => 0,
        EventClass::Accounts => 1,
        EventClass::Refusals => 2,
    }
}

const fn tag(class: EventClass) -> u8 {
    match class {
        EventClass::Administration => 1,
        EventClass::Accounts => 2,
        EventClass::Refusals => 3,
    }
}

fn key(class: EventClass, number: u64) -> [u8; 9] {
    numbered_key(tag(class), number)
}

fn numbered_key(tag: u8, number: u64) -> [u8; 9] {
    let mut key = [0; 9];
    key[0] = tag;
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

fn numbered(entry: sled::Result<(IVec, IVec)>) -> Result<(u64, IVec), StoreError> {
    let (key, bytes) = entry.map_err(StoreError::failed)?;
    let number = format::fixed(&key[1..], "number of an event")?;
    Ok((u64::from_be_bytes(number), bytes))
}
