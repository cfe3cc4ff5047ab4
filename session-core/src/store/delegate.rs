//! Stores that forward every method to another store.

use std::sync::Arc;

use crate::Store;

/// Implements [`Store`](crate::Store) for a type by forwarding every method to its inner store, including those with defaults.
///
/// The arguments are the type, a name for a reference to it, and an expression for a reference to the inner store.
/// Generic parameters stand in brackets before the type.
///
/// The future of the inner store is returned as it is. A method written as `self.0.load(call, key).await` would box a second
/// future around it.
///
/// ```
/// use session_core::{Capabilities, NullStore, Store, delegate_store};
///
/// #[derive(Debug)]
/// struct Named<S> {
///     name: &'static str,
///     store: S,
/// }
///
/// delegate_store!([S: Store] Named<S>, named => &named.store);
///
/// let named = Named { name: "blank", store: NullStore };
/// assert_eq!(named.capabilities(), Capabilities::new().discards(true));
/// assert_eq!(named.name, "blank");
/// ```
#[macro_export]
macro_rules! delegate_store {
    (@methods [$($generics:tt)*] $type:ty, $this:ident => $inner:expr;
        $($method:ident[$($life:lifetime),*]($($arg:ident: $arg_type:ty),*) -> $answer:ty;)+
    ) => {
        impl<$($generics)*> $crate::Store for $type {
            fn capabilities(&self) -> $crate::Capabilities {
                let $this = self;
                $crate::Store::capabilities($inner)
            }

            $(fn $method<'s, $($life,)* 'f>(
                &'s self,
                $($arg: $arg_type,)*
            ) -> ::std::pin::Pin<
                ::std::boxed::Box<dyn ::std::future::Future<Output = $crate::Result<$answer>> + ::std::marker::Send + 'f>,
            >
            where
                's: 'f,
                $($life: 'f,)*
                Self: 'f,
            {
                let $this = self;
                $crate::Store::$method($inner $(, $arg)*)
            })+
        }
    };
    ([$($generics:tt)*] $type:ty, $this:ident => $inner:expr) => {
        $crate::delegate_store! {
            @methods [$($generics)*] $type, $this => $inner;
            create['c, 'k, 'r](
                call: &'c $crate::Call, key: &'k $crate::StoreKey, record: &'r $crate::Record
            ) -> $crate::Outcome;
            load['c, 'k](
                call: &'c $crate::Call, key: &'k $crate::StoreKey
            ) -> ::std::option::Option<$crate::Record>;
            save['c, 'k, 'r](
                call: &'c $crate::Call, key: &'k $crate::StoreKey, expected: $crate::Version, record: &'r $crate::Record
            ) -> $crate::Outcome;
            touch['c, 'k](
                call: &'c $crate::Call, key: &'k $crate::StoreKey, expected: $crate::Version, expires_at: $crate::Timestamp
            ) -> $crate::Outcome;
            delete['c, 'k](
                call: &'c $crate::Call, key: &'k $crate::StoreKey, expected: ::std::option::Option<$crate::Version>
            ) -> $crate::Outcome;
            purge['c](
                call: &'c $crate::Call, limit: ::std::num::NonZeroU32
            ) -> $crate::Purged;
            sessions_of['c, 'p](
                call: &'c $crate::Call, principal: &'p $crate::Principal, limit: ::std::num::NonZeroU32
            ) -> ::std::vec::Vec<($crate::StoreKey, $crate::Record)>;
            delete_all['c, 'p, 'k](
                call: &'c $crate::Call,
                principal: &'p $crate::Principal,
                keep: ::std::option::Option<&'k $crate::StoreKey>
            ) -> u64;
            scan['c](
                call: &'c $crate::Call, after: ::std::option::Option<$crate::Cursor>, limit: ::std::num::NonZeroU32
            ) -> $crate::Page;
            close[]() -> ();
        }
    };
    ($type:ty, $this:ident => $inner:expr) => {
        $crate::delegate_store!([] $type, $this => $inner);
    };
}

delegate_store!([S: Store + ?Sized] Arc<S>, pointer => &**pointer);
delegate_store!([S: Store + ?Sized] Box<S>, pointer => &**pointer);
