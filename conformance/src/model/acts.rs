//! Operations of an actor on its session.

use std::sync::atomic::Ordering;

use session_core::{Result, minutes};

use super::actor::Actor;
use super::handle::{Pending, What};
use super::ledger::{Change, PRINCIPALS, own_key};
use super::polls::polls;
use super::promise::Promise;
use super::scene::Act;
use super::stage::locked;

impl Actor {
    fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.number as u64 * 100 + self.tokens
    }

    pub(super) async fn reload(&mut self, dropped_after: Option<usize>, began: u64) -> Result<()> {
        // Pending changes may be dropped from now on.
        locked(&self.handle.past).dropped.push((began, u64::MAX));
        self.note_doubt();
        let done = polls(dropped_after, self.handle.session.reload()).await;
        let ended = self.play.stage.tick();
        if let Some(last) = locked(&self.handle.past).dropped.last_mut() {
            last.1 = ended;
        }
        self.pending.clear();
        done.unwrap_or(Ok(()))
    }

    /// Does an operation without a store call.
    pub(super) fn act(&mut self, act: Act, began: u64) -> Result<()> {
        let session = self.handle.session.clone();
        let what = match act {
            Act::Push => {
                let token = self.token();
                let before = self.handle.owner();
                session.update("tokens", move |tokens: &mut Vec<u64>| tokens.push(token))?;
                if before == self.handle.owner() {
                    locked(&self.play.ledger).pushed(token, before);
                }
                self.play.stage.note(|_| format!("  token {token}"));
                What::Change(Change::Token(token))
            }
            Act::PushGuarded => {
                let token = self.token();
                self.guarded();
                let mut tokens: Vec<u64> = session.get("guarded")?.unwrap_or_default();
                tokens.push(token);
                session.insert("guarded", &tokens)?;
                self.play.stage.note(|_| format!("  guarded token {token}"));
                What::Change(Change::Guarded(token))
            }
            Act::Insert => {
                let value = self.token();
                locked(&self.play.ledger).wrote_own(self.number, Some(value));
                session.insert(own_key(self.number), &value)?;
                What::Change(Change::Own(self.number, Some(value)))
            }
            Act::Remove => {
                locked(&self.play.ledger).wrote_own(self.number, None);
                session.remove(own_key(self.number))?;
                What::Change(Change::Own(self.number, None))
            }
            Act::InsertLong => return session.insert("long", &"x".repeat(60 + self.number * 40)),
            Act::Take => {
                self.guarded();
                match session.take::<u64>("once")? {
                    Some(_) => What::Change(Change::Took),
                    None => return Ok(()),
                }
            }
            Act::Flash => {
                let message = self.token();
                session.flash("f", &message)?;
                What::Change(Change::Flash(message))
            }
            Act::Flashes => {
                let shown: Vec<u64> = session.flashes("f")?;
                self.show(&shown);
                What::Change(Change::Showed(shown))
            }
            Act::Require => {
                self.guarded();
                return session.require_unchanged("once");
            }
            Act::Label => return session.set_label("a label"),
            Act::Idle => return session.set_idle(Some(minutes(60 + self.tokens))),
            Act::Persistent => return session.set_persistent(!session.is_persistent()),
            Act::Clear => return session.clear(),
            Act::Look => {
                self.look();
                return Ok(());
            }
            Act::Rotate => {
                let key = self.handle.key();
                session.rotate()?;
                What::Rotation(key)
            }
            Act::Reauthenticate => {
                let key = self.handle.key();
                session.reauthenticate()?;
                What::Rotation(key)
            }
            Act::Login(who) => {
                let key = self.handle.key();
                // After a login the session may start empty, without the earlier changes.
                self.pending.retain(|pending| matches!(pending.what, What::Logout(_)));
                locked(&self.handle.past).identity.push((began, u64::MAX));
                let done = session.login(PRINCIPALS[who]);
                self.identity_changed(began);
                done?;
                What::Login(who, key)
            }
            Act::Logout => {
                let keys = self.handle.key().into_iter().chain(self.handle.client).collect();
                self.pending.clear();
                locked(&self.handle.past).identity.push((began, u64::MAX));
                session.logout();
                self.identity_changed(began);
                What::Logout(keys)
            }
            Act::Discard => {
                self.note_doubt();
                locked(&self.handle.past).dropped.push((began, u64::MAX));
                session.discard();
                let ended = self.play.stage.tick();
                if let Some(last) = locked(&self.handle.past).dropped.iter_mut().find(|(from, _)| *from == began) {
                    last.1 = ended;
                }
                self.pending.clear();
                return Ok(());
            }
            Act::Touch | Act::Save | Act::Reload => unreachable!("these call the store"),
        };
        let ended = self.play.stage.tick();
        self.pending.push(Pending { what, began, ended });
        Ok(())
    }

    fn identity_changed(&self, began: u64) {
        let ended = self.play.stage.tick();
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
            locked(&self.play.ledger).discarded_in_doubt(self.handle.index);
        }
    }

    fn show(&self, shown: &[u64]) {
        locked(&self.play.ledger).read(shown);
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
            locked(&self.play.ledger).look(&self.play.stage, before, &tokens);
        }
    }
}
