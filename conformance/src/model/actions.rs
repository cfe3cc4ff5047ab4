//! Operations of an actor on its session.

use std::sync::atomic::Ordering;

use session_core::{Result, minutes};

use super::actor::Actor;
use super::handle::{PendingChange, PendingKind};
use super::ledger::{Change, PRINCIPALS, own_key};
use super::monitor::locked;
use super::poll_limit::poll_at_most;
use super::promise::Promise;
use super::scene::Action;

impl Actor {
    fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.number as u64 * 100 + self.tokens
    }

    pub(super) async fn reload(&mut self, dropped_after: Option<usize>, began: u64) -> Result<()> {
        // Pending changes may be dropped from now on.
        locked(&self.handle.past).dropped.push((began, u64::MAX));
        self.note_doubt();
        let done = poll_at_most(dropped_after, self.handle.session.reload()).await;
        let ended = self.state.monitor.tick();
        if let Some(last) = locked(&self.handle.past).dropped.last_mut() {
            last.1 = ended;
        }
        self.pending.clear();
        done.unwrap_or(Ok(()))
    }

    /// Does an operation without a store call.
    pub(super) fn action(&mut self, action: Action, began: u64) -> Result<()> {
        let session = self.handle.session.clone();
        let what = match action {
            Action::Push => {
                let token = self.token();
                let before = self.handle.owner();
                session.update("tokens", move |tokens: &mut Vec<u64>| tokens.push(token))?;
                if before == self.handle.owner() {
                    locked(&self.state.ledger).pushed(token, before);
                }
                self.state.monitor.note(|_| format!("  token {token}"));
                PendingKind::Change(Change::Token(token))
            }
            Action::PushGuarded => {
                let token = self.token();
                self.guarded();
                let mut tokens: Vec<u64> = session.get("guarded")?.unwrap_or_default();
                tokens.push(token);
                session.insert("guarded", &tokens)?;
                self.state.monitor.note(|_| format!("  guarded token {token}"));
                PendingKind::Change(Change::Guarded(token))
            }
            Action::Insert => {
                let value = self.token();
                locked(&self.state.ledger).wrote_own(self.number, Some(value));
                session.insert(own_key(self.number), &value)?;
                PendingKind::Change(Change::Own(self.number, Some(value)))
            }
            Action::Remove => {
                locked(&self.state.ledger).wrote_own(self.number, None);
                session.remove(own_key(self.number))?;
                PendingKind::Change(Change::Own(self.number, None))
            }
            Action::InsertLong => return session.insert("long", &"x".repeat(60 + self.number * 40)),
            Action::Take => {
                self.guarded();
                match session.take::<u64>("once")? {
                    Some(_) => PendingKind::Change(Change::Took),
                    None => return Ok(()),
                }
            }
            Action::Flash => {
                let message = self.token();
                session.flash("f", &message)?;
                PendingKind::Change(Change::Flash(message))
            }
            Action::Flashes => {
                let shown: Vec<u64> = session.flashes("f")?;
                self.show(&shown);
                PendingKind::Change(Change::Showed(shown))
            }
            Action::Require => {
                self.guarded();
                return session.require_unchanged("once");
            }
            Action::Label => return session.set_label("a label"),
            Action::Idle => return session.set_idle(Some(minutes(60 + self.tokens))),
            Action::Persistent => return session.set_persistent(!session.is_persistent()),
            Action::Clear => return session.clear(),
            Action::Look => {
                self.look();
                return Ok(());
            }
            Action::Rotate => {
                let key = self.handle.key();
                session.rotate()?;
                PendingKind::Rotation(key)
            }
            Action::Reauthenticate => {
                let key = self.handle.key();
                session.reauthenticate()?;
                PendingKind::Rotation(key)
            }
            Action::Login(who) => {
                let key = self.handle.key();
                // After a login the session may start empty, without the earlier changes.
                self.pending.retain(|pending| matches!(pending.what, PendingKind::Logout(_)));
                locked(&self.handle.past).identity.push((began, u64::MAX));
                let done = session.login(PRINCIPALS[who]);
                self.identity_changed(began);
                done?;
                PendingKind::Login(who, key)
            }
            Action::Logout => {
                let keys = self.handle.key().into_iter().chain(self.handle.client).collect();
                self.pending.clear();
                locked(&self.handle.past).identity.push((began, u64::MAX));
                session.logout();
                self.identity_changed(began);
                PendingKind::Logout(keys)
            }
            Action::Discard => {
                self.note_doubt();
                locked(&self.handle.past).dropped.push((began, u64::MAX));
                session.discard();
                let ended = self.state.monitor.tick();
                if let Some(last) = locked(&self.handle.past).dropped.iter_mut().find(|(from, _)| *from == began) {
                    last.1 = ended;
                }
                self.pending.clear();
                return Ok(());
            }
            Action::Touch | Action::Save | Action::Reload => unreachable!("these call the store"),
        };
        let ended = self.state.monitor.tick();
        self.pending.push(PendingChange { what, began, ended });
        Ok(())
    }

    fn identity_changed(&self, began: u64) {
        let ended = self.state.monitor.tick();
        if let Some(last) = locked(&self.handle.past).identity.iter_mut().find(|(from, _)| *from == began) {
            last.1 = ended;
        }
    }

    fn guarded(&self) {
        self.handle.guarded.store(true, Ordering::SeqCst);
    }

    /// Records that uncommitted changes are discarded while a commit has no answer.
    fn note_doubt(&self) {
        if self.handle.in_doubt.load(Ordering::SeqCst) {
            locked(&self.state.ledger).discarded_in_doubt(self.handle.index);
        }
    }

    fn show(&self, shown: &[u64]) {
        locked(&self.state.ledger).read(shown);
        let twice = {
            let mut past = locked(&self.handle.past);
            let twice = shown.iter().find(|message| past.shown.contains(message)).copied();
            past.shown.extend(shown);
            let undisturbed = past.dropped.is_empty() && past.identity.is_empty() && past.gone.is_empty();
            twice.filter(|_| undisturbed)
        };
        if let Some(twice) = twice {
            self.breaks(Promise::FlashTwice, format!("one request showed message {twice} twice"));
        }
    }

    fn look(&self) {
        let session = &self.handle.session;
        let before = self.handle.owner();
        let tokens: Vec<u64> = session.peek("tokens").ok().flatten().unwrap_or_default();
        session.keys();
        if before == self.handle.owner() {
            locked(&self.state.ledger).look(&self.state.monitor, before, &tokens);
        }
    }
}
