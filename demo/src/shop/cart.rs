//! The cart.

use std::collections::BTreeMap;

use axum::Form;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use session_tower::{ErrorKind, Result, Session};

use super::catalogue::{self, Tea};
use crate::error_page;
use crate::page::{Frame, Page, redirect};
use crate::release::StoredCart;

/// Key of the cart in the session.
const KEY: &str = "cart";

/// Maximum number of tins of one tea.
const MOST: u32 = 99;

/// Number of tins of each tea, by slug.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredCart", into = "StoredCart")]
struct Cart(BTreeMap<String, u32>);

impl From<StoredCart> for Cart {
    fn from(stored: StoredCart) -> Self {
        Self(stored.into())
    }
}

impl From<Cart> for StoredCart {
    fn from(cart: Cart) -> Self {
        cart.0.into()
    }
}

impl Cart {
    /// Returns the session's cart to show it. A cart stored by a later release is not shown, and stays as it is.
    fn of(session: &Session) -> Result<Self> {
        match session.peek(KEY) {
            Err(error) if error.kind() == ErrorKind::WrongType => Ok(Self::default()),
            cart => Ok(cart?.unwrap_or_default()),
        }
    }

    fn tins(&self) -> u32 {
        self.0.values().copied().fold(0, u32::saturating_add)
    }

    fn apply(&mut self, change: Change, tea: &Tea) {
        let tins = self.0.get(tea.slug).copied().unwrap_or(0);
        let tins = match change {
            Change::Add => tins.saturating_add(1).min(MOST),
            Change::Less => tins.saturating_sub(1),
            Change::Drop => 0,
        };
        if tins == 0 {
            self.0.remove(tea.slug);
        } else {
            self.0.insert(tea.slug.into(), tins);
        }
    }

    /// Returns the teas in the cart that are still sold.
    fn lines(&self) -> Vec<Line> {
        let line = |(slug, &tins): (&String, &u32)| Some(Line { tea: catalogue::tea(slug)?, tins });
        self.0.iter().filter_map(line).collect()
    }
}

/// Returns the number of tins in the session's cart.
pub(super) fn tins_in_cart(session: &Session) -> Result<u32> {
    Ok(Cart::of(session)?.tins())
}

struct Line {
    tea: &'static Tea,
    tins: u32,
}

impl Line {
    const fn cents(&self) -> u32 {
        self.tea.cents.saturating_mul(self.tins)
    }

    fn price(&self) -> String {
        catalogue::price(self.cents())
    }
}

fn total(lines: &[Line]) -> String {
    catalogue::price(lines.iter().map(Line::cents).fold(0, u32::saturating_add))
}

#[derive(askama::Template)]
#[template(path = "cart.html")]
pub(super) struct CartPage {
    frame: Frame,
    lines: Vec<Line>,
    total: String,
}

pub(super) async fn show(session: Session) -> Result<Page<CartPage>> {
    let cart = Cart::of(&session)?;
    let lines = cart.lines();
    let total = total(&lines);
    Ok(Page(CartPage { frame: Frame::of(&session, "cart", cart.tins())?, lines, total }))
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Change {
    Add,
    Less,
    Drop,
}

/// Page that contains the form, to return to.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FormPage {
    Shop,
    Cart,
}

#[derive(Debug, Deserialize)]
pub(super) struct ChangeForm {
    tea: String,
    change: Change,
    from: FormPage,
}

/// Changes the cart. `update` is replayed on a cart that another tab has stored meanwhile, so no click is lost.
pub(super) async fn change(session: Session, Form(form): Form<ChangeForm>) -> Result<Response> {
    let Some(tea) = catalogue::tea(&form.tea) else {
        return Ok(error_page::refused(StatusCode::NOT_FOUND, "We have no such tea.").into_response());
    };
    session.update(KEY, move |cart: &mut Cart| cart.apply(form.change, tea))?;
    let notice = match form.change {
        Change::Add => format!("{} is in your cart.", tea.name),
        Change::Less => format!("One tin less of {}.", tea.name),
        Change::Drop => format!("{} is back on the shelf.", tea.name),
    };
    let to = match form.from {
        FormPage::Shop => format!("/#{}", tea.slug),
        FormPage::Cart => "/cart".into(),
    };
    Ok(redirect(&session, &to, &notice)?.into_response())
}

/// Orders the cart. `take` gives it to one request only, so two clicks make one order.
pub(super) async fn check_out(session: Session) -> Result<Response> {
    let lines = session.take::<Cart>(KEY)?.unwrap_or_default().lines();
    let (to, notice) = if lines.is_empty() {
        ("/cart", "There is nothing to order.".to_owned())
    } else {
        ("/", format!("Thank you! Your order of {} is on its way – in spirit.", total(&lines)))
    };
    Ok(redirect(&session, to, &notice)?.into_response())
}

#[cfg(test)]
mod tests {
    use super::{Cart, Change, MOST};
    use crate::shop::catalogue::tea;

    #[test]
    fn a_cart_counts_its_tins() {
        let (mint, assam) = (tea("mint").unwrap(), tea("assam").unwrap());
        let mut cart = Cart::default();
        for (change, tea) in [(Change::Add, mint), (Change::Add, mint), (Change::Add, assam), (Change::Less, mint)] {
            cart.apply(change, tea);
        }
        assert_eq!(cart.tins(), 2);
        assert_eq!(super::total(&cart.lines()), "€ 15.30");
        cart.apply(Change::Drop, assam);
        cart.apply(Change::Less, mint);
        cart.apply(Change::Less, mint);
        assert_eq!(cart, Cart::default());
    }

    #[test]
    fn a_cart_has_an_end() {
        let mut cart = Cart::default();
        for _ in 0..=MOST {
            cart.apply(Change::Add, tea("mint").unwrap());
        }
        assert_eq!(cart.tins(), MOST);
    }
}
