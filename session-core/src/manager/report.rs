//! Reports events to the application and to `tracing`.

use super::environment::Environment;
use super::event::{Event, EventKind};
use crate::codec::{Content, Stored};
use crate::{Handle, Principal, Record, StoreKey};

impl Environment {
    /// Reports an event about the session with this content, under `key` if it is stored.
    ///
    /// This runs code of the application, so no lock may be held.
    pub(crate) fn emit(&self, kind: EventKind, content: &Content, key: Option<&StoreKey>) {
        self.send(&Event {
            kind,
            name: self.name.clone(),
            principal: content.principal.clone(),
            handle: key.map(|key| Handle::from(*key)),
            label: content.label.as_deref().map(String::from),
            count: 1,
        });
    }

    /// Reports that `count` sessions were ended, of `principal` if all were of one. Reports nothing if none were.
    pub(super) fn emit_revoked(&self, principal: Option<&Principal>, count: u64) {
        if count > 0 {
            let (name, principal) = (self.name.clone(), principal.cloned());
            self.send(&Event { kind: EventKind::Revoked, name, principal, handle: None, label: None, count });
        }
    }

    /// Reports that the session in `record` was ended.
    pub(super) fn emit_revoked_record(&self, key: &StoreKey, record: &Record) {
        match Stored::read(record) {
            Ok((Stored::Content(content), _)) => self.emit(EventKind::Revoked, &content, Some(key)),
            // Its principal is known even if its data does not decode.
            _ => self.emit_revoked(record.principal.as_ref(), 1),
        }
    }

    fn send(&self, event: &Event) {
        let Event { kind, name, principal, handle, label, count } = event;
        tracing::info!(
            target: Event::TARGET,
            event = kind.as_str(),
            %name,
            principal = principal.as_ref().map(display),
            handle = handle.as_ref().map(display),
            label = label.as_deref(),
            count,
        );
        if let Some(listener) = &self.listener {
            listener.receive(event);
        }
    }
}
