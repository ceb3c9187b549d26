//! A table's declaration, and the text that log, data file and backups carry it as.

/// The name of a table and of its two columns. As text `name(key,value)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    pub name: String,
    pub key: String,
    pub value: String,
}

impl Declaration {
    /// Reads the text form; a text without columns gets `id` and `value`. Never fails: any text names some table.
    pub fn parse(text: &str) -> Self {
        let (name, columns) = split(text);
        let (key, value) = columns
            .trim_end_matches(')')
            .split_once(',')
            .unwrap_or(("id", "value"));
        Declaration {
            name: name.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    /// The table's name in the text form, as it was written.
    pub fn name_of(text: &str) -> &str {
        split(text).0
    }
}

fn split(text: &str) -> (&str, &str) {
    text.rsplit_once('(').unwrap_or((text, "id,value)"))
}

impl std::fmt::Display for Declaration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({},{})", self.name, self.key, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_read_back_and_its_name_is_that_of_the_declaration() {
        for (text, name, key, value) in [
            ("Ledger(id,amount)", "Ledger", "id", "amount"),
            ("Ledger", "Ledger", "id", "value"),
            ("", "", "id", "value"),
            ("a(b(k,v)", "a(b", "k", "v"),
            ("t(k", "t", "id", "value"),
        ] {
            let declaration = Declaration::parse(text);
            assert_eq!(Declaration::name_of(text), name);
            assert_eq!(
                (&*declaration.name, &*declaration.key, &*declaration.value),
                (name, key, value)
            );
            assert_eq!(Declaration::parse(&declaration.to_string()), declaration);
        }
    }
}
