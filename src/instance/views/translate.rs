//! A query's syntax tree to SQLite's dialect: FROM, SELECT lists, grouping, ordering, set operations.
//!
//! Only what is understood is written out, so nothing unforeseen reaches SQLite; the rest is 8622 with the reason. Every
//! name is looked up here, where its place is known. Columns of inner queries are called `c0`, `c1`, …, relations `r0`, ….

use std::collections::BTreeSet;

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, LimitClause, ObjectName, OrderBy,
    OrderByKind, OrderBySort, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    SetOperator, SetQuantifier, Spanned, TableAlias, TableFactor, TableWithJoins, TopQuantity, Value,
};

use crate::error::{Span, SqlError, msg};
use crate::tsql;

use super::functions::COLLATION;
use super::scope::{Field, Kind, Relation, Scopes};
use super::{SystemViews, Table, View};

/// A query that SQLite understands, and what it needs.
#[derive(Debug)]
pub(super) struct Translation {
    pub text: String,
    pub fields: Vec<Field>,
    pub views: BTreeSet<View>,
    /// The user tables, `main.t0` and so on.
    pub tables: Vec<Table>,
}

pub(super) fn translate(select: &tsql::Select, views: &dyn SystemViews) -> Result<Translation, SqlError> {
    let mut translator = Translator {
        select,
        system: views,
        scopes: Scopes::default(),
        common: Vec::new(),
        views: BTreeSet::new(),
        tables: Vec::new(),
        relations: 0,
    };
    let (text, fields) = translator.query(&select.query)?;
    Ok(Translation {
        text,
        fields,
        views: translator.views,
        tables: translator.tables,
    })
}

pub(super) type Translated<T> = Result<T, SqlError>;

pub(super) struct Translator<'a> {
    select: &'a tsql::Select,
    pub(super) system: &'a dyn SystemViews,
    pub(super) scopes: Scopes,
    /// Common table expressions: name, handle, columns.
    common: Vec<(String, String, Vec<Field>)>,
    pub(super) views: BTreeSet<View>,
    tables: Vec<Table>,
    relations: usize,
}

impl Translator<'_> {
    pub(super) fn place(&self, node: &impl Spanned) -> Span {
        self.select.place(node.span())
    }

    /// 8622 at a part of the query.
    pub(super) fn unsupported(&self, node: &impl Spanned, what: &str) -> SqlError {
        msg::QUERY_FAILED
            .with(&[&format!("{what} is not supported")])
            .at(self.place(node))
    }

    /// 8622 if `present`.
    fn refuse(&self, present: bool, what: &str) -> Translated<()> {
        match present {
            true => Err(msg::QUERY_FAILED.with(&[&format!("{what} is not supported")])),
            false => Ok(()),
        }
    }

    pub(super) fn query(&mut self, query: &Query) -> Translated<(String, Vec<Field>)> {
        self.refuse(!query.locks.is_empty() || query.for_clause.is_some(), "FOR")?;
        self.refuse(
            query.settings.is_some() || query.format_clause.is_some() || !query.pipe_operators.is_empty(),
            "this clause",
        )?;
        let commons = self.common.len();
        let mut with = Vec::new();
        if let Some(clause) = &query.with {
            self.refuse(clause.recursive, "WITH RECURSIVE")?;
            for common in &clause.cte_tables {
                let (text, fields) = self.query(&common.query)?;
                let fields = self.renamed(fields, &common.alias)?;
                let handle = format!("w{}", self.relations);
                self.relations += 1;
                with.push(format!("{handle} AS ({text})"));
                self.common
                    .push((common.alias.name.value.clone(), handle, fields));
            }
        }
        let limit = self.offset(query)?;
        let body = match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select, query.order_by.as_ref(), limit.as_deref()),
            body => self.compound(body, query.order_by.as_ref(), limit.as_deref()),
        };
        self.common.truncate(commons);
        let (text, fields) = body?;
        let with = match with.is_empty() {
            true => String::new(),
            false => format!("WITH {} ", with.join(", ")),
        };
        Ok((format!("{with}{text}"), fields))
    }

    /// `OFFSET … ROWS FETCH NEXT … ROWS ONLY`.
    fn offset(&mut self, query: &Query) -> Translated<Option<String>> {
        let skip = match &query.limit_clause {
            None => None,
            Some(LimitClause::LimitOffset {
                limit: None,
                offset: Some(offset),
                limit_by,
            }) if limit_by.is_empty() => Some(self.count(&offset.value)?),
            Some(_) => return self.refuse(true, "LIMIT (use TOP)").map(|()| None),
        };
        let take = match &query.fetch {
            None => None,
            Some(fetch) => {
                self.refuse(fetch.percent || fetch.with_ties, "FETCH with PERCENT or TIES")?;
                match &fetch.quantity {
                    Some(quantity) => Some(self.count(quantity)?),
                    None => Some(1),
                }
            }
        };
        Ok(match (take, skip) {
            (None, None) => None,
            (take, skip) => {
                let take = take.map_or_else(|| "-1".to_owned(), |n| n.to_string());
                Some(format!(" LIMIT {take} OFFSET {}", skip.unwrap_or(0)))
            }
        })
    }

    /// A constant number of rows.
    fn count(&self, expr: &Expr) -> Translated<u64> {
        let inner = match expr {
            Expr::Nested(inner) => inner.as_ref(),
            expr => expr,
        };
        if let Expr::Value(value) = inner
            && let Value::Number(digits, _) = &value.value
            && let Ok(n) = digits.parse::<u64>()
            && i64::try_from(n).is_ok()
        {
            return Ok(n);
        }
        Err(self.unsupported(expr, "a number of rows that is not a constant"))
    }

    /// `UNION`, `EXCEPT`, `INTERSECT`, or a query in parentheses.
    fn compound(
        &mut self,
        body: &SetExpr,
        order_by: Option<&OrderBy>,
        limit: Option<&str>,
    ) -> Translated<(String, Vec<Field>)> {
        let (text, fields) = self.operand(body)?;
        let order = self.order_by(order_by, &fields, true)?;
        Ok((format!("{text}{order}{}", limit.unwrap_or_default()), fields))
    }

    fn operand(&mut self, body: &SetExpr) -> Translated<(String, Vec<Field>)> {
        match body {
            SetExpr::Select(select) => {
                let (text, fields) = self.select(select, None, None)?;
                Ok((format!("SELECT * FROM ({text})"), fields))
            }
            SetExpr::Query(query) => {
                let (text, fields) = self.query(query)?;
                Ok((format!("SELECT * FROM ({text})"), fields))
            }
            SetExpr::SetOperation {
                left,
                op,
                set_quantifier,
                right,
            } => {
                let all = match set_quantifier {
                    SetQuantifier::All => " ALL",
                    SetQuantifier::None => "",
                    _ => return Err(self.unsupported(left.as_ref(), "this set operation")),
                };
                let word = match (op, all) {
                    (SetOperator::Union, _) => "UNION",
                    (SetOperator::Except, "") => "EXCEPT",
                    (SetOperator::Intersect, "") => "INTERSECT",
                    _ => return Err(self.unsupported(left.as_ref(), "this set operation")),
                };
                let (left_text, mut fields) = self.operand(left)?;
                let (right_text, others) = self.operand(right)?;
                if fields.len() != others.len() {
                    let reason = "the queries of a set operation have different numbers of columns";
                    return Err(msg::QUERY_FAILED.with(&[&reason]).at(self.place(right.as_ref())));
                }
                for (field, other) in fields.iter_mut().zip(&others) {
                    field.kind = self.unify(field.kind, other.kind, right.as_ref())?;
                }
                Ok((
                    format!("SELECT * FROM ({left_text} {word}{all} {right_text})"),
                    fields,
                ))
            }
            other => Err(self.unsupported(other, "this kind of query")),
        }
    }

    fn select(
        &mut self,
        select: &Select,
        order_by: Option<&OrderBy>,
        limit: Option<&str>,
    ) -> Translated<(String, Vec<Field>)> {
        self.refuse(select.into.is_some(), "SELECT INTO")?;
        self.refuse(
            !select.named_window.is_empty() || select.qualify.is_some(),
            "WINDOW",
        )?;
        self.refuse(
            !select.lateral_views.is_empty()
                || select.prewhere.is_some()
                || !select.connect_by.is_empty()
                || !select.cluster_by.is_empty()
                || !select.distribute_by.is_empty()
                || !select.sort_by.is_empty()
                || select.exclude.is_some()
                || select.select_modifiers.is_some()
                || select.value_table_mode.is_some(),
            "this clause",
        )?;
        self.scopes.enter();
        let answer = self.select_inside(select, order_by, limit);
        self.scopes.leave();
        answer
    }

    fn select_inside(
        &mut self,
        select: &Select,
        order_by: Option<&OrderBy>,
        limit: Option<&str>,
    ) -> Translated<(String, Vec<Field>)> {
        let distinct = match &select.distinct {
            None | Some(Distinct::All) => false,
            Some(Distinct::Distinct) => true,
            Some(_) => return self.refuse(true, "DISTINCT ON").map(|()| Default::default()),
        };
        let mut from = Vec::with_capacity(select.from.len());
        for item in &select.from {
            from.push(self.table_with_joins(item)?);
        }
        let (list, fields) = self.projection(select)?;
        let mut text = String::from(if distinct { "SELECT DISTINCT " } else { "SELECT " });
        text.push_str(&list.join(", "));
        if !from.is_empty() {
            text.push_str(&format!(" FROM {}", from.join(", ")));
        }
        if let Some(condition) = &select.selection {
            text.push_str(&format!(" WHERE {}", self.condition(condition)?));
        }
        match &select.group_by {
            GroupByExpr::Expressions(list, modifiers) if modifiers.is_empty() => {
                let mut keys = Vec::with_capacity(list.len());
                for expr in list {
                    let key = self.expr(expr)?;
                    keys.push(collated(&key.text, key.kind));
                }
                if !keys.is_empty() {
                    text.push_str(&format!(" GROUP BY {}", keys.join(", ")));
                }
            }
            _ => {
                return self
                    .refuse(true, "this form of GROUP BY")
                    .map(|()| Default::default());
            }
        }
        if let Some(condition) = &select.having {
            text.push_str(&format!(" HAVING {}", self.condition(condition)?));
        }
        text.push_str(&self.order_by(order_by, &fields, distinct)?);
        match (&select.top, limit) {
            (Some(_), Some(_)) => self.refuse(true, "TOP together with OFFSET")?,
            (Some(top), None) => {
                self.refuse(top.percent || top.with_ties, "TOP with PERCENT or TIES")?;
                let rows = match &top.quantity {
                    Some(TopQuantity::Constant(rows)) => i64::try_from(*rows).unwrap_or(i64::MAX),
                    Some(TopQuantity::Expr(expr)) => i64::try_from(self.count(expr)?).unwrap_or(i64::MAX),
                    None => {
                        return self
                            .refuse(true, "TOP without a number")
                            .map(|()| Default::default());
                    }
                };
                text.push_str(&format!(" LIMIT {rows}"));
            }
            (None, limit) => text.push_str(limit.unwrap_or_default()),
        }
        Ok((text, fields))
    }

    fn projection(&mut self, select: &Select) -> Translated<(Vec<String>, Vec<Field>)> {
        let mut list = Vec::new();
        let mut fields: Vec<Field> = Vec::new();
        let mut push = |text: String, field: Field| {
            list.push(format!("{} AS c{}", collated(&text, field.kind), fields.len()));
            fields.push(field);
        };
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let value = self.expr(expr)?;
                    let name = column_name(expr);
                    push(
                        value.text,
                        Field {
                            name,
                            kind: value.kind,
                        },
                    );
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let value = self.expr(expr)?;
                    let name = alias.value.clone();
                    if name.starts_with('@') {
                        return Err(self.unsupported(expr, "a variable"));
                    }
                    push(
                        value.text,
                        Field {
                            name,
                            kind: value.kind,
                        },
                    );
                }
                SelectItem::Wildcard(_) => {
                    if self.scopes.innermost().is_empty() {
                        return Err(self.unsupported(item, "* without FROM"));
                    }
                    for (field, text) in self.scopes.innermost().iter().flat_map(Relation::all) {
                        push(text, field);
                    }
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    let parts = self.parts(name)?;
                    let mut found = self.scopes.called(&parts).peekable();
                    if found.peek().is_none() {
                        let at = self.place(name);
                        return Err(msg::MULTI_PART.with(&[&parts.join(".")]).at(at));
                    }
                    for (field, text) in found.flat_map(Relation::all) {
                        push(text, field);
                    }
                }
                item => return Err(self.unsupported(item, "this kind of column")),
            }
        }
        Ok((list, fields))
    }

    /// `answer_only`: behind DISTINCT and set operations only columns of the answer can be ordered by.
    fn order_by(
        &mut self,
        order_by: Option<&OrderBy>,
        fields: &[Field],
        answer_only: bool,
    ) -> Translated<String> {
        let Some(order_by) = order_by else {
            return Ok(String::new());
        };
        let OrderByKind::Expressions(list) = &order_by.kind else {
            return self.refuse(true, "ORDER BY ALL").map(|()| String::new());
        };
        let mut keys = Vec::with_capacity(list.len());
        for item in list {
            let position = self.order_position(&item.expr, fields)?;
            let key = match position {
                Some(index) => collated(&(index + 1).to_string(), fields[index].kind),
                None => {
                    let key = self.expr(&item.expr)?;
                    match answer_only {
                        true => self.answer_position(&item.expr, fields)?,
                        false => collated(&key.text, key.kind),
                    }
                }
            };
            let direction = match &item.options.sort {
                None | Some(OrderBySort::Asc) => "",
                Some(OrderBySort::Desc) => " DESC",
                Some(OrderBySort::Using(_)) => return Err(self.unsupported(&item.expr, "ORDER BY USING")),
            };
            keys.push(format!("{key}{direction}"));
        }
        Ok(format!(" ORDER BY {}", keys.join(", ")))
    }

    /// The column of the answer that an ORDER BY item names by its name or number.
    fn order_position(&self, expr: &Expr, fields: &[Field]) -> Translated<Option<usize>> {
        match expr {
            Expr::Identifier(ident) => {
                let named = |field: &Field| field.name.eq_ignore_ascii_case(&ident.value);
                Ok(fields.iter().position(named))
            }
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => match digits.parse::<usize>() {
                    Ok(n) if (1..=fields.len()).contains(&n) => Ok(Some(n - 1)),
                    _ => {
                        let reason =
                            format!("the ORDER BY position {digits} is not a column of the select list");
                        Err(msg::QUERY_FAILED.with(&[&reason]).at(self.place(expr)))
                    }
                },
                _ => Err(self.unsupported(expr, "ORDER BY a constant")),
            },
            _ => Ok(None),
        }
    }

    /// `d.name` behind DISTINCT: the column of the answer called `name`.
    fn answer_position(&self, expr: &Expr, fields: &[Field]) -> Translated<String> {
        let name = column_name(expr);
        match fields
            .iter()
            .position(|field| !name.is_empty() && field.name.eq_ignore_ascii_case(&name))
        {
            Some(index) => Ok(collated(&(index + 1).to_string(), fields[index].kind)),
            None => Err(self.unsupported(expr, "ORDER BY something that is not in the select list")),
        }
    }

    fn table_with_joins(&mut self, item: &TableWithJoins) -> Translated<String> {
        let mut text = self.table(&item.relation)?;
        for join in &item.joins {
            text.push_str(&self.join(join)?);
        }
        Ok(text)
    }

    fn join(&mut self, join: &Join) -> Translated<String> {
        let right = self.table(&join.relation)?;
        let (word, constraint) = match &join.join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => ("JOIN", constraint),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => ("LEFT JOIN", constraint),
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
                ("RIGHT JOIN", constraint)
            }
            JoinOperator::FullOuter(constraint) => ("FULL JOIN", constraint),
            JoinOperator::CrossJoin(constraint) => ("CROSS JOIN", constraint),
            _ => return Err(self.unsupported(&join.relation, "this kind of join")),
        };
        match constraint {
            JoinConstraint::On(condition) => {
                let condition = self.condition(condition)?;
                Ok(format!(" {word} {right} ON {condition}"))
            }
            JoinConstraint::None if word == "CROSS JOIN" => Ok(format!(" {word} {right}")),
            _ => Err(self.unsupported(&join.relation, "a join without ON")),
        }
    }

    fn table(&mut self, table: &TableFactor) -> Translated<String> {
        let handle = format!("r{}", self.relations);
        self.relations += 1;
        match table {
            TableFactor::Table {
                name,
                alias,
                args,
                version: None,
                json_path: None,
                sample: None,
                ..
            } => {
                // `FROM t (NOLOCK)` arrives as arguments; reads here never wait, so hints change nothing.
                let hint = |text: &str| {
                    ["NOLOCK", "READUNCOMMITTED"]
                        .iter()
                        .any(|h| text.eq_ignore_ascii_case(h))
                };
                if self.is_trace(name) {
                    // One trace is all there is; DEFAULT stands for its file and for the number of its files.
                    let plain = |text: &str| text.eq_ignore_ascii_case("DEFAULT");
                    let args = args.as_ref().map(|a| a.args.iter().map(ToString::to_string));
                    if !args.is_some_and(|a| a.len() == 2 && a.into_iter().all(|text| plain(&text))) {
                        let what = "a trace other than sys.fn_trace_gettable(DEFAULT, DEFAULT)";
                        return Err(self.unsupported(name, what));
                    }
                } else if let Some(args) = args
                    && !args.args.iter().all(|arg| hint(&arg.to_string()))
                {
                    return Err(self.unsupported(name, "a table-valued function"));
                }
                self.named_table(name, alias.as_ref(), handle)
            }
            TableFactor::Derived {
                lateral: false,
                subquery,
                alias,
                ..
            } => {
                let (text, fields) = self.query(subquery)?;
                let Some(alias) = alias else {
                    return Err(self.unsupported(subquery.as_ref(), "a derived table without a name"));
                };
                let fields = self.renamed(fields, alias)?;
                self.scopes.add(Relation {
                    name: alias.name.value.clone(),
                    qualifiers: Vec::new(),
                    handle: handle.clone(),
                    fields: numbered(fields),
                });
                Ok(format!("({text}) AS {handle}"))
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => Ok(format!("({})", self.table_with_joins(table_with_joins)?)),
            other => Err(self.unsupported(other, "this kind of table")),
        }
    }

    /// Whether the name is that of the function that reads a trace.
    fn is_trace(&self, name: &ObjectName) -> bool {
        let text = name.to_string();
        text.to_ascii_lowercase().ends_with(View::FnTraceGettable.name())
    }

    fn named_table(
        &mut self,
        name: &ObjectName,
        alias: Option<&TableAlias>,
        handle: String,
    ) -> Translated<String> {
        let parts = self.parts(name)?;
        let at = self.place(name);
        let invalid = || msg::INVALID_OBJECT.with(&[&parts.join(".")]).at(at);
        let (source, fields) = match parts.as_slice() {
            [one] if self.common_table(one).is_some() => {
                let (common, fields) = self.common_table(one).unwrap_or_default();
                (common, numbered(fields))
            }
            [schema, view] if schema.eq_ignore_ascii_case("sys") => {
                let view = View::named(view).ok_or_else(invalid)?;
                self.view(view)
            }
            [database, schema, view] if schema.eq_ignore_ascii_case("sys") => {
                let view = View::named(view).ok_or_else(invalid)?;
                if !database.eq_ignore_ascii_case("master") {
                    return Err(self.unsupported(name, "a system view of a database other than master"));
                }
                self.view(view)
            }
            [database, schema, table]
                if database.eq_ignore_ascii_case("msdb")
                    && is_dbo(schema)
                    && table.eq_ignore_ascii_case(View::SuspectPages.name()) =>
            {
                self.view(View::SuspectPages)
            }
            [table] => self.user_table(None, table, name)?,
            [schema, table] if is_dbo(schema) => self.user_table(None, table, name)?,
            [database, schema, table] if is_dbo(schema) => self.user_table(Some(database), table, name)?,
            _ => return Err(invalid()),
        };
        let (last, before) = parts
            .split_last()
            .map_or(("", &[][..]), |(last, before)| (*last, before));
        let (called, qualifiers) = match alias {
            Some(alias) => {
                self.refuse(
                    !alias.columns.is_empty(),
                    "a list of column names behind a table's alias",
                )?;
                (alias.name.value.clone(), Vec::new())
            }
            None => (
                last.to_owned(),
                before.iter().map(|part| (*part).to_owned()).collect(),
            ),
        };
        let text = format!("{source} AS {handle}");
        self.scopes.add(Relation {
            name: called,
            qualifiers,
            handle,
            fields,
        });
        Ok(text)
    }

    fn common_table(&self, name: &str) -> Option<(String, Vec<Field>)> {
        let found = self
            .common
            .iter()
            .rev()
            .find(|(own, ..)| own.eq_ignore_ascii_case(name))?;
        Some((found.1.clone(), found.2.clone()))
    }

    fn view(&mut self, view: View) -> (String, Vec<(Field, String)>) {
        self.views.insert(view);
        let fields = view.columns().iter().map(|column| {
            let field = Field {
                name: column.name.to_owned(),
                kind: column.kind.into(),
            };
            (field, column.name.to_owned())
        });
        (format!("sys.\"{}\"", view.name()), fields.collect())
    }

    fn user_table(
        &mut self,
        database: Option<&str>,
        table: &str,
        name: &ObjectName,
    ) -> Translated<(String, Vec<(Field, String)>)> {
        let found = self
            .system
            .table(database, table)
            .map_err(|error| error.at(self.place(name)))?;
        let Some(table) = found else {
            let parts = self.parts(name)?.join(".");
            return Err(msg::INVALID_OBJECT.with(&[&parts]).at(self.place(name)));
        };
        let fields = table.columns.iter().map(|column| Field {
            name: column.clone(),
            kind: Kind::Int,
        });
        let fields = numbered(fields.collect());
        let source = format!("main.t{}", self.tables.len());
        self.tables.push(table);
        Ok((source, fields))
    }

    /// The columns of an inner query under the names its alias lists.
    fn renamed(&self, mut fields: Vec<Field>, alias: &TableAlias) -> Translated<Vec<Field>> {
        if !alias.columns.is_empty() {
            if alias.columns.len() != fields.len() {
                return Err(msg::COLUMN_COUNT.error().at(self.select.place(alias.name.span)));
            }
            for (field, column) in fields.iter_mut().zip(&alias.columns) {
                field.name.clone_from(&column.name.value);
            }
        }
        Ok(fields)
    }

    fn parts<'n>(&self, name: &'n ObjectName) -> Translated<Vec<&'n str>> {
        name.0
            .iter()
            .map(|part| part.as_ident().map(|ident| ident.value.as_str()))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| self.unsupported(name, "this kind of name"))
    }
}

/// Text with the default collation, so that DISTINCT, ORDER BY and comparisons further out ignore case.
pub(super) fn collated(text: &str, kind: Kind) -> String {
    match kind {
        Kind::Text => format!("{text} COLLATE {COLLATION}"),
        _ => text.to_owned(),
    }
}

fn numbered(fields: Vec<Field>) -> Vec<(Field, String)> {
    fields
        .into_iter()
        .enumerate()
        .map(|(n, field)| (field, format!("c{n}")))
        .collect()
}

fn is_dbo(schema: &str) -> bool {
    schema.is_empty() || schema.eq_ignore_ascii_case("dbo")
}

/// The name of an answer's column that has no alias: the column's own, else none.
fn column_name(expr: &Expr) -> String {
    let last = |parts: &[Ident]| parts.last().map(|ident| ident.value.clone());
    match expr {
        Expr::Identifier(ident) if !ident.value.starts_with('@') => ident.value.clone(),
        Expr::CompoundIdentifier(parts) => last(parts).unwrap_or_default(),
        Expr::Nested(inner) => column_name(inner),
        _ => String::new(),
    }
}
