//! Teas for sale.

/// A tea for sale.
#[derive(Debug)]
pub(super) struct Tea {
    /// Name in URLs and carts.
    pub(super) slug: &'static str,
    pub(super) name: &'static str,
    pub(super) origin: &'static str,
    pub(super) note: &'static str,
    /// Price of a tin, in cents.
    pub(super) cents: u32,
    /// Colour in the cup, for CSS.
    pub(super) colour: &'static str,
}

impl Tea {
    pub(super) fn price(&self) -> String {
        price(self.cents)
    }
}

/// Formats a price as `€ 12.50`.
pub(super) fn price(cents: u32) -> String {
    format!("€ {}.{:02}", cents / 100, cents % 100)
}

pub(super) fn tea(slug: &str) -> Option<&'static Tea> {
    TEAS.iter().find(|tea| tea.slug == slug)
}

pub(super) const TEAS: &[Tea] = &[
    Tea {
        slug: "sencha",
        name: "Morning Sencha",
        origin: "Shizuoka, Japan",
        note: "Cut grass and sea air. Brew it cooler than you think.",
        cents: 1250,
        colour: "#b7c34b",
    },
    Tea {
        slug: "darjeeling",
        name: "First Flush Darjeeling",
        origin: "West Bengal, India",
        note: "Muscatel and spring flowers, picked in March.",
        cents: 1690,
        colour: "#e0a339",
    },
    Tea {
        slug: "oolong",
        name: "Iron Goddess Oolong",
        origin: "Anxi, China",
        note: "Orchid and butter. Good for seven infusions.",
        cents: 1875,
        colour: "#cf8f2e",
    },
    Tea {
        slug: "assam",
        name: "Breakfast Assam",
        origin: "Assam, India",
        note: "Malt and strength. Takes milk without a word.",
        cents: 890,
        colour: "#8c3b16",
    },
    Tea {
        slug: "pu-erh",
        name: "Ten-Year Pu-erh",
        origin: "Yunnan, China",
        note: "Forest floor and dark chocolate, aged in the cave.",
        cents: 2400,
        colour: "#4b2415",
    },
    Tea {
        slug: "white",
        name: "Silver Needle",
        origin: "Fujian, China",
        note: "Buds only. Melon, hay, and a great deal of quiet.",
        cents: 2150,
        colour: "#e9d79a",
    },
    Tea {
        slug: "rooibos",
        name: "Cedar Mountain Rooibos",
        origin: "Cederberg, South Africa",
        note: "Vanilla and warm wood. No caffeine, no regrets.",
        cents: 760,
        colour: "#b4441c",
    },
    Tea {
        slug: "mint",
        name: "Garden Mint",
        origin: "Meknès, Morocco",
        note: "Whole leaves. Pour it from as high as you dare.",
        cents: 640,
        colour: "#8fae5d",
    },
];
