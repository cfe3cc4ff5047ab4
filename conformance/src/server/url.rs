//! As much of a URL as it takes to put something between a store and its server.

/// `scheme://[user[:password]@]host[:port][/…]`
#[derive(Clone)]
pub(super) struct Url {
    text: String,
    /// `host:port`, the kind's usual port where the URL says none.
    address: String,
    /// Where `host[:port]` stands in the text.
    place: (usize, usize),
    password: String,
}

impl Url {
    /// Why it is none does not repeat the text, which may hold a password.
    pub(super) fn parse(text: &str, port: u16) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("it has no `://`")?;
        let begin = scheme.len() + "://".len();
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        if place.contains(',') {
            return Err("it names several hosts, and the suite can stand before one only".into());
        }
        let (host, own_port) = match place.rsplit_once(':') {
            // Colons within brackets are part of an IPv6 address.
            Some((host, digits)) if !digits.contains(']') => (host, Some(digits)),
            _ => (place, None),
        };
        let port = match own_port {
            Some(digits) => digits.parse().map_err(|_| "its port is no number")?,
            None => port,
        };
        if host.is_empty() {
            return Err("it names no host".into());
        }
        let end = begin + authority.len();
        let password = user.split_once(':').map_or("", |(_, password)| password);
        Ok(Self {
            text: text.to_owned(),
            address: format!("{host}:{port}"),
            place: (end - place.len(), end),
            password: password.to_owned(),
        })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    /// The same URL of another host and port.
    pub(super) fn at(&self, address: &str) -> String {
        format!("{}{address}{}", &self.text[..self.place.0], &self.text[self.place.1..])
    }
}

#[cfg(test)]
mod tests {
    use super::Url;

    fn url(text: &str) -> Url {
        Url::parse(text, 5432).map_err(|why| panic!("{text}: {why}")).unwrap()
    }

    #[test]
    fn an_address_is_found_and_replaced() {
        let full = url("postgres://ann:se@cret@db.internal:6000/shop?sslmode=disable");
        assert_eq!(full.address(), "db.internal:6000");
        assert_eq!(full.password(), "se@cret");
        assert_eq!(full.at("127.0.0.1:9"), "postgres://ann:se@cret@127.0.0.1:9/shop?sslmode=disable");
    }

    #[test]
    fn what_is_left_out_has_its_usual_value() {
        let bare = url("postgres://localhost");
        assert_eq!((bare.address(), bare.password()), ("localhost:5432", ""));
        assert_eq!(bare.at("[::1]:9"), "postgres://[::1]:9");
        assert_eq!(url("redis://:pw@h?x=a:1@b").at("p:1"), "redis://:pw@p:1?x=a:1@b");
        assert_eq!(url("postgres://[::1]/db").address(), "[::1]:5432");
        assert_eq!(url("postgres://[::1]:7/db").address(), "[::1]:7");
    }

    #[test]
    fn what_is_none_is_refused_without_its_password() {
        for bad in ["localhost:5432", "postgres://", "postgres://u:pw@/db", "postgres://u:pw@h:x/db", "m://u:pw@a,b/db"]
        {
            let Err(why) = Url::parse(bad, 5432) else { panic!("{bad} passes") };
            assert!(!why.contains("pw"), "{why}");
        }
    }
}
