//! Columns of system views: names, types, and how a typed row becomes values.
//!
//! Each view is a struct made by `view_row!`: its fields are what the instance fills in, its column list is the
//! documented one. A state with a code and a text is one field (`Coded`) and two columns, so the two cannot differ.

use crate::types::{
    EncryptionInUse, Guid, LinkState, Lsn, MirroringState, PartnerRole, Safety, Value, WallTime,
};

/// A column as documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: SqlType,
}

/// The documented type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlType {
    Bit,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    /// `numeric(25,0)`, the type of LSNs.
    Numeric25,
    Char(u16),
    NVarChar(u16),
    /// `sysname`, that is `nvarchar(128)` and never NULL.
    SysName,
    VarBinary(u16),
    UniqueIdentifier,
    DateTime,
}

/// A documented code and the text that goes with it: two columns from one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coded {
    pub code: i64,
    pub desc: &'static str,
}

impl Coded {
    pub const fn new(code: i64, desc: &'static str) -> Self {
        Coded { code, desc }
    }
}

macro_rules! coded_from {
    ($($state:ident),*) => {
        $(impl From<$state> for Coded {
            fn from(state: $state) -> Self {
                Coded::new(state.code(), state.desc())
            }
        })*
    };
}
coded_from!(PartnerRole, MirroringState, Safety, LinkState, EncryptionInUse);

/// What a field adds to a row. `WIDTH` is the number of columns it fills.
pub trait Cells {
    const WIDTH: usize;

    fn push(self, row: &mut Vec<Value>);
}

macro_rules! cells {
    ($($kind:ty => |$value:ident| $cell:expr;)*) => {
        $(impl Cells for $kind {
            const WIDTH: usize = 1;

            fn push(self, row: &mut Vec<Value>) {
                let $value = self;
                row.push($cell);
            }
        })*
    };
}
cells! {
    i64 => |n| Value::Int(n);
    i32 => |n| Value::Int(n.into());
    u32 => |n| Value::Int(n.into());
    u16 => |n| Value::Int(n.into());
    u64 => |n| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
    bool => |bit| Value::Bool(bit);
    String => |text| Value::Text(text);
    &'static str => |text| text.into();
    Guid => |guid| Value::Text(guid.to_string());
    WallTime => |time| Value::Text(time.to_string());
    Lsn => |lsn| Value::Int(i64::try_from(lsn.get()).unwrap_or(i64::MAX));
}

impl Cells for Coded {
    const WIDTH: usize = 2;

    fn push(self, row: &mut Vec<Value>) {
        row.push(Value::Int(self.code));
        row.push(self.desc.into());
    }
}

impl<T: Cells> Cells for Option<T> {
    const WIDTH: usize = T::WIDTH;

    fn push(self, row: &mut Vec<Value>) {
        match self {
            Some(value) => value.push(row),
            None => row.extend(std::iter::repeat_n(Value::Null, T::WIDTH)),
        }
    }
}

/// Defines a view's row: `field: Type => column: SqlType[, column: SqlType];`, in the documented order.
macro_rules! view_row {
    (
        $(#[$doc:meta])*
        $name:ident {
            $($(#[$field_doc:meta])* $field:ident: $type:ty => $($column:ident: $kind:expr),+;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            /// The documented columns, in order.
            pub const COLUMNS: &'static [$crate::instance::views::Column] = {
                #[allow(unused_imports, reason = "not every view has every type")]
                use $crate::instance::views::SqlType::*;
                &[$($($crate::instance::views::Column { name: stringify!($column), kind: $kind },)+)*]
            };

            /// One value per column.
            pub fn into_values(self) -> Vec<$crate::types::Value> {
                let mut row = Vec::with_capacity(Self::COLUMNS.len());
                $($crate::instance::views::Cells::push(self.$field, &mut row);)*
                row
            }
        }

        // Every field fills exactly the columns declared for it.
        const _: () = {
            $(assert!(
                <$type as $crate::instance::views::Cells>::WIDTH == [$(stringify!($column)),+].len()
            );)*
        };
    };
}
pub(super) use view_row;
