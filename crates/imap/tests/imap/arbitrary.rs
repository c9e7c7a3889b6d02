//! Any value of each type.

use murder_imap::command::{AclMode, SelectParam, StoreMode, StoreModifier};
use murder_imap::list::{ListAttribute, ListRow, StatusValue};
use murder_imap::response::{NamespacePrefix, NamespaceRow};
use murder_imap::url::UrlMailbox;
use murder_imap::{
    Code, Command, ContextUpdate, Date, DateTime, Esearch, EventGroup, FetchData, FetchItem,
    FetchModifier, Flag, GetMetadata, Keyword, List, ListReturn, ListSelection, MailboxArg,
    MailboxFilter, MessageUrl, MetadataDepth, MultiSearch, NodeCode, NodeCommand, NodeId, Notify,
    NotifyEvent, PartWhat, Partial, PartialRange, QuotaResource, Response, Search, SearchKey,
    SearchReturn, Secret, Section, SequenceSet, Sort, SortCriterion, SortKey, Status, StatusItem,
    Tag, Thread, ThreadAlgorithm, ThreadList, Untagged,
};
use murder_mailbox::SpecialUse;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const MAX63: u64 = i64::MAX as u64;

pub fn tag() -> impl Strategy<Value = Tag> {
    "[A-Za-z0-9.\\]\\[-]{1,8}".prop_map(|text| Tag::new(text).unwrap())
}

/// Octets without NUL.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(1u8..=255, 0..20),
        "[ -~]{0,20}".prop_map(String::into_bytes),
        "(?i)nil".prop_map(String::into_bytes),
        (1_000usize..1_100).prop_map(|len| vec![b'"'; len]),
    ]
}

/// Text without NUL.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[^\\x00]{0,12}",
        "[ -~]{0,12}",
        Just("NIL".to_owned()),
        Just("{3+}\r\n".to_owned())
    ]
}

fn atom() -> impl Strategy<Value = String> {
    "[A-Za-z0-9$&'+,./:;<=>?@^_`|}~!#-]{1,10}"
}

fn upper_atom() -> impl Strategy<Value = String> {
    "[A-Z0-9=.+-]{1,10}"
}

fn mailbox() -> impl Strategy<Value = MailboxArg> {
    octets().prop_map(MailboxArg)
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![1u32..20, 1..=u32::MAX]
}

fn set() -> impl Strategy<Value = SequenceSet> {
    let bound = prop_oneof![4 => number().prop_map(|n| n.to_string()), 1 => Just("*".to_owned())];
    let range = prop_oneof![
        bound.clone(),
        (bound.clone(), bound).prop_map(|(a, b)| format!("{a}:{b}"))
    ];
    prop_oneof![
        8 => vec(range, 1..6).prop_map(|r| SequenceSet::parse(r.join(",").as_bytes()).unwrap()),
        1 => Just(SequenceSet::saved_result()),
    ]
}

fn uids() -> impl Strategy<Value = SequenceSet> {
    vec(number(), 1..8).prop_map(|n| SequenceSet::from_numbers(n).unwrap())
}

fn keyword() -> impl Strategy<Value = Keyword> {
    atom().prop_map(|text| Keyword::new(text).unwrap())
}

fn flag() -> impl Strategy<Value = Flag> {
    prop_oneof![
        select(Flag::SYSTEM.to_vec()),
        Just(Flag::Recent),
        keyword().prop_map(Flag::Keyword),
        atom().prop_map(|text| Flag::parse(&format!("\\{text}")).unwrap()),
    ]
}

fn flags() -> impl Strategy<Value = Vec<Flag>> {
    vec(flag(), 0..5)
}

fn date() -> impl Strategy<Value = Date> {
    (-719_528i64..=2_932_896).prop_map(Date::from_days_since_epoch)
}

pub fn date_time() -> impl Strategy<Value = DateTime> {
    // Whole years 1 to 9998, so that no zone leaves what four digits hold.
    (-62_135_596_800i64..253_370_764_800, -1_439i16..=1_439).prop_map(|(unix, offset_minutes)| {
        DateTime {
            unix,
            offset_minutes,
        }
    })
}

fn status_items(min: usize) -> impl Strategy<Value = Vec<StatusItem>> {
    subsequence(StatusItem::ALL.to_vec(), min..=StatusItem::ALL.len())
}

fn partial_range() -> impl Strategy<Value = PartialRange> {
    (number(), number(), any::<bool>()).prop_map(|(from, to, from_end)| PartialRange {
        from,
        to,
        from_end,
    })
}

fn path(min: usize) -> impl Strategy<Value = Vec<u32>> {
    vec(number(), min..4)
}

fn section() -> impl Strategy<Value = Section> {
    let names = || (vec(text(), 1..4), any::<bool>());
    let what = prop_oneof![
        Just(PartWhat::Body),
        Just(PartWhat::Header),
        Just(PartWhat::Text),
        Just(PartWhat::Mime),
        names().prop_map(|(names, not)| PartWhat::HeaderFields { names, not }),
    ];
    prop_oneof![
        Just(Section::Full),
        Just(Section::Header),
        Just(Section::Text),
        names().prop_map(|(names, not)| Section::HeaderFields { names, not }),
        (path(1), what).prop_map(|(path, what)| Section::Part { path, what }),
    ]
}

fn fetch_item() -> BoxedStrategy<FetchItem> {
    let partial =
        || of((0..=MAX63, 1..=MAX63).prop_map(|(origin, length)| Partial { origin, length }));
    prop_oneof![
        select(vec![
            FetchItem::Uid,
            FetchItem::Flags,
            FetchItem::InternalDate,
            FetchItem::Rfc822Size,
            FetchItem::Envelope,
            FetchItem::Body,
            FetchItem::BodyStructure,
            FetchItem::Rfc822,
            FetchItem::Rfc822Header,
            FetchItem::Rfc822Text,
            FetchItem::ModSeq,
            FetchItem::EmailId,
            FetchItem::ThreadId,
            FetchItem::SaveDate,
            FetchItem::Preview { lazy: false },
            FetchItem::Preview { lazy: true },
        ]),
        (section(), partial(), any::<bool>()).prop_map(|(section, partial, peek)| {
            FetchItem::BodySection {
                section,
                partial,
                peek,
            }
        }),
        (path(0), partial(), any::<bool>()).prop_map(|(path, partial, peek)| FetchItem::Binary {
            path,
            partial,
            peek,
        }),
        path(0).prop_map(|path| FetchItem::BinarySize { path }),
    ]
    .boxed()
}

fn search_key() -> BoxedStrategy<SearchKey> {
    let id = || "[A-Za-z0-9_-]{1,12}";
    let leaf = prop_oneof![
        select(vec![
            SearchKey::All,
            SearchKey::Answered,
            SearchKey::Deleted,
            SearchKey::Draft,
            SearchKey::Flagged,
            SearchKey::New,
            SearchKey::Old,
            SearchKey::Recent,
            SearchKey::Seen,
            SearchKey::Unanswered,
            SearchKey::Undeleted,
            SearchKey::Undraft,
            SearchKey::Unflagged,
            SearchKey::Unseen,
            SearchKey::SaveDateSupported,
        ]),
        keyword().prop_map(SearchKey::Keyword),
        keyword().prop_map(SearchKey::Unkeyword),
        (
            octets(),
            select(vec![
                SearchKey::Bcc as fn(Vec<u8>) -> SearchKey,
                SearchKey::Cc,
                SearchKey::From,
                SearchKey::To,
                SearchKey::Subject,
                SearchKey::Body,
                SearchKey::Text,
            ])
        )
            .prop_map(|(value, make)| make(value)),
        (text(), octets()).prop_map(|(name, value)| SearchKey::Header(name, value)),
        (
            date(),
            select(vec![
                SearchKey::Before as fn(Date) -> SearchKey,
                SearchKey::On,
                SearchKey::Since,
                SearchKey::SentBefore,
                SearchKey::SentOn,
                SearchKey::SentSince,
                SearchKey::SavedBefore,
                SearchKey::SavedOn,
                SearchKey::SavedSince,
            ])
        )
            .prop_map(|(date, make)| make(date)),
        (0..=MAX63).prop_map(SearchKey::Larger),
        (0..=MAX63).prop_map(SearchKey::Smaller),
        number().prop_map(SearchKey::Older),
        number().prop_map(SearchKey::Younger),
        (
            of(("/flags/[ -~]{1,8}", select(vec!["priv", "shared", "all"]))),
            0..=MAX63
        )
            .prop_map(|(entry, value)| SearchKey::ModSeq {
                entry: entry.map(|(name, kind)| (name, kind.to_owned())),
                value,
            }),
        id().prop_map(SearchKey::EmailId),
        id().prop_map(SearchKey::ThreadId),
        text().prop_map(SearchKey::Filter),
        set().prop_map(SearchKey::Uid),
        set().prop_map(SearchKey::Sequence),
    ];
    leaf.prop_recursive(4, 16, 4, |key| {
        prop_oneof![
            key.clone().prop_map(|key| SearchKey::Not(Box::new(key))),
            key.clone().prop_map(|key| SearchKey::Fuzzy(Box::new(key))),
            (key.clone(), key.clone())
                .prop_map(|(one, other)| SearchKey::Or(Box::new(one), Box::new(other))),
            vec(key, 1..4).prop_map(SearchKey::And),
        ]
    })
    .boxed()
}

fn returns() -> impl Strategy<Value = Option<Vec<SearchReturn>>> {
    let option = prop_oneof![
        select(vec![
            SearchReturn::Min,
            SearchReturn::Max,
            SearchReturn::All,
            SearchReturn::Count,
            SearchReturn::Save,
            SearchReturn::Context,
            SearchReturn::Relevancy,
        ]),
        partial_range().prop_map(SearchReturn::Partial),
        vec(fetch_item(), 0..3).prop_map(SearchReturn::Update),
    ];
    of(vec(option, 0..4))
}

fn filter() -> impl Strategy<Value = MailboxFilter> {
    prop_oneof![
        Just(MailboxFilter::Inboxes),
        Just(MailboxFilter::Personal),
        Just(MailboxFilter::Subscribed),
        vec(mailbox(), 1..4).prop_map(MailboxFilter::Subtree),
        vec(mailbox(), 1..4).prop_map(MailboxFilter::Mailboxes),
    ]
}

fn search() -> BoxedStrategy<Command> {
    let keys = || vec(search_key(), 1..4);
    let source = prop_oneof![
        filter(),
        Just(MailboxFilter::Selected),
        vec(mailbox(), 1..4).prop_map(MailboxFilter::SubtreeOne),
    ];
    let criterion = (any::<bool>(), select(SortKey::ALL.to_vec()))
        .prop_map(|(reverse, key)| SortCriterion { reverse, key });
    prop_oneof![
        3 => (any::<bool>(), of(text()), keys(), returns()).prop_map(
            |(uid, charset, keys, returns)| Command::Search(Search {
                uid,
                charset,
                keys,
                returns,
            })
        ),
        1 => (of(vec(source, 1..4)), of(text()), keys(), returns()).prop_map(
            |(sources, charset, keys, returns)| Command::MultiSearch(MultiSearch {
                sources,
                returns,
                charset,
                keys,
            })
        ),
        1 => (any::<bool>(), returns(), vec(criterion, 1..4), text(), keys()).prop_map(
            |(uid, returns, criteria, charset, keys)| Command::Sort(Sort {
                uid,
                returns,
                criteria,
                charset,
                keys,
            })
        ),
        1 => (any::<bool>(), select(ThreadAlgorithm::ALL.to_vec()), text(), keys()).prop_map(
            |(uid, algorithm, charset, keys)| Command::Thread(Thread {
                uid,
                algorithm,
                charset,
                keys,
            })
        ),
    ]
    .boxed()
}

fn notify() -> BoxedStrategy<Notify> {
    let event = || {
        prop_oneof![
            vec(fetch_item(), 0..3).prop_map(NotifyEvent::MessageNew),
            select(vec![
                NotifyEvent::MessageExpunge,
                NotifyEvent::FlagChange,
                NotifyEvent::AnnotationChange,
                NotifyEvent::MailboxName,
                NotifyEvent::SubscriptionChange,
                NotifyEvent::MailboxMetadataChange,
                NotifyEvent::ServerMetadataChange,
            ]),
            "X[a-z]{1,6}".prop_map(NotifyEvent::Other),
        ]
    };
    let group =
        (filter(), vec(event(), 0..4)).prop_map(|(filter, events)| EventGroup { filter, events });
    let selected = (any::<bool>(), vec(event(), 0..4)).prop_map(|(delayed, events)| EventGroup {
        filter: match delayed {
            true => MailboxFilter::SelectedDelayed,
            false => MailboxFilter::Selected,
        },
        events,
    });
    prop_oneof![
        1 => Just(Notify::None),
        4 => (any::<bool>(), vec(group, 1..4), of(selected)).prop_map(|(status, mut groups, selected)| {
            groups.extend(selected);
            Notify::Set { status, groups }
        }),
    ].boxed()
}

/// The name of an entry.
fn entry() -> impl Strategy<Value = String> {
    prop_oneof!["/(shared|private)/[a-z]{1,9}", "[^\\x00*%]{0,12}"]
}

fn entry_values() -> impl Strategy<Value = Vec<(String, Option<Vec<u8>>)>> {
    vec((entry(), of(vec(any::<u8>(), 0..20))), 1..4)
}

fn extensions() -> BoxedStrategy<Command> {
    prop_oneof![
        Just(Command::Unauthenticate),
        any::<NodeId>().prop_map(|id| Command::Node(NodeCommand::NextId(id))),
        (mailbox(), any::<NodeId>())
            .prop_map(|(mailbox, id)| Command::Node(NodeCommand::Done { mailbox, id })),
        vec(tag(), 1..4).prop_map(|tags| Command::CancelUpdate { tags }),
        upper_atom().prop_map(|mechanism| Command::Compress { mechanism }),
        notify().prop_map(Command::Notify),
        (
            mailbox(),
            of(any::<u32>()),
            select(MetadataDepth::ALL.to_vec()),
            vec(entry(), 1..4)
        )
            .prop_map(|(mailbox, max_size, depth, entries)| {
                Command::GetMetadata(GetMetadata {
                    mailbox,
                    max_size,
                    depth,
                    entries,
                })
            }),
        (mailbox(), entry_values())
            .prop_map(|(mailbox, entries)| Command::SetMetadata { mailbox, entries }),
        text().prop_map(|root| Command::GetQuota { root }),
        mailbox().prop_map(|mailbox| Command::GetQuotaRoot { mailbox }),
        (text(), vec((upper_atom(), 0..=MAX63), 0..3))
            .prop_map(|(root, limits)| Command::SetQuota { root, limits }),
    ]
    .boxed()
}

fn list() -> BoxedStrategy<Command> {
    let selection =
        any::<[bool; 4]>().prop_map(
            |[subscribed, remote, recursive, special_use]| ListSelection {
                subscribed,
                remote,
                recursive_match: recursive && (subscribed || special_use),
                special_use,
            },
        );
    let returns = (any::<[bool; 4]>(), status_items(0), vec(entry(), 0..3)).prop_map(
        |([subscribed, children, special_use, myrights], status, metadata)| ListReturn {
            subscribed,
            children,
            special_use,
            myrights,
            status,
            metadata,
        },
    );
    (
        mailbox(),
        vec(mailbox(), 1..4),
        prop_oneof![Just(ListSelection::default()), selection],
        prop_oneof![Just(ListReturn::default()), returns],
        any::<bool>(),
    )
        .prop_map(|(reference, patterns, selection, returns, extended)| {
            let extended = extended
                || patterns.len() > 1
                || selection != ListSelection::default()
                || returns != ListReturn::default();
            Command::List(List {
                reference,
                patterns,
                selection,
                returns,
                extended,
            })
        })
        .boxed()
}

fn id_fields() -> impl Strategy<Value = Option<Vec<(String, Option<String>)>>> {
    of(vec((text(), of(text())), 0..4))
}

fn select_params() -> impl Strategy<Value = Vec<SelectParam>> {
    let qresync = (number(), 1..=MAX63, of(uids()), of((uids(), uids()))).prop_map(
        |(uidvalidity, modseq, known_uids, seq_match)| SelectParam::QResync {
            uidvalidity,
            modseq,
            known_uids,
            seq_match,
        },
    );
    vec(prop_oneof![Just(SelectParam::CondStore), qresync], 0..3)
}

fn rights() -> impl Strategy<Value = murder_mailbox::Rights> {
    subsequence("lrswipkxtean".chars().collect::<Vec<_>>(), 0..=12)
        .prop_map(|letters| letters.into_iter().collect::<String>().parse().unwrap())
}

/// Large strategies are boxed: as values they are too large for the stack of a test's thread.
pub fn command() -> impl Strategy<Value = Command> {
    let plain = select(vec![
        Command::Capability,
        Command::Noop,
        Command::Logout,
        Command::StartTls,
        Command::Namespace,
        Command::Unselect,
        Command::Close,
        Command::Check,
        Command::Expunge,
        Command::Idle,
    ]);
    let session = prop_oneof![
        id_fields().prop_map(Command::Id),
        (text(), octets()).prop_map(|(user, password)| Command::Login {
            user,
            password: Secret::new(password),
        }),
        (upper_atom(), of(any::<Vec<u8>>())).prop_map(|(mechanism, response)| {
            Command::Authenticate {
                mechanism,
                initial_response: response.map(Secret::new),
            }
        }),
        vec(upper_atom(), 1..4).prop_map(|capabilities| Command::Enable { capabilities }),
    ];
    let names = prop_oneof![
        list(),
        (mailbox(), mailbox())
            .prop_map(|(reference, pattern)| Command::Lsub { reference, pattern }),
        mailbox().prop_map(|mailbox| Command::Subscribe { mailbox }),
        mailbox().prop_map(|mailbox| Command::Unsubscribe { mailbox }),
        mailbox().prop_map(|mailbox| Command::Delete { mailbox }),
        (
            mailbox(),
            of(text()),
            vec(atom().prop_map(|a| format!("\\{a}")), 0..3)
        )
            .prop_map(|(mailbox, partition, special_use)| Command::Create {
                mailbox,
                partition,
                special_use,
            }),
        (mailbox(), mailbox(), of(text())).prop_map(|(from, to, partition)| Command::Rename {
            from,
            to,
            partition,
        }),
        (mailbox(), status_items(1))
            .prop_map(|(mailbox, items)| Command::Status { mailbox, items }),
        (mailbox(), select_params())
            .prop_map(|(mailbox, params)| Command::Select { mailbox, params }),
        (mailbox(), select_params())
            .prop_map(|(mailbox, params)| Command::Examine { mailbox, params }),
    ];
    let modifiers = vec(
        prop_oneof![
            (1..=MAX63).prop_map(FetchModifier::ChangedSince),
            Just(FetchModifier::Vanished),
            partial_range().prop_map(FetchModifier::Partial),
        ],
        0..3,
    );
    let messages = prop_oneof![
        set().prop_map(|set| Command::UidExpunge { set }),
        search(),
        (any::<bool>(), set(), vec(fetch_item(), 1..5), modifiers).prop_map(
            |(uid, set, items, modifiers)| Command::Fetch {
                uid,
                set,
                items,
                modifiers,
            }
        ),
        (
            any::<bool>(),
            set(),
            vec((0..=MAX63).prop_map(StoreModifier::UnchangedSince), 0..2),
            select(vec![StoreMode::Replace, StoreMode::Add, StoreMode::Remove]),
            any::<bool>(),
            flags(),
        )
            .prop_map(
                |(uid, set, modifiers, mode, silent, flags)| Command::Store {
                    uid,
                    set,
                    modifiers,
                    mode,
                    silent,
                    flags,
                }
            ),
        (any::<bool>(), set(), mailbox()).prop_map(|(uid, set, mailbox)| Command::Copy {
            uid,
            set,
            mailbox
        }),
        (any::<bool>(), set(), mailbox()).prop_map(|(uid, set, mailbox)| Command::Move {
            uid,
            set,
            mailbox
        }),
    ];
    let access = prop_oneof![
        (
            mailbox(),
            text(),
            select(vec![AclMode::Replace, AclMode::Add, AclMode::Remove]),
            rights(),
        )
            .prop_map(|(mailbox, identifier, mode, rights)| Command::SetAcl {
                mailbox,
                identifier,
                mode,
                rights,
            }),
        (mailbox(), text()).prop_map(|(mailbox, identifier)| Command::DeleteAcl {
            mailbox,
            identifier,
        }),
        mailbox().prop_map(|mailbox| Command::GetAcl { mailbox }),
        (mailbox(), text()).prop_map(|(mailbox, identifier)| Command::ListRights {
            mailbox,
            identifier,
        }),
        mailbox().prop_map(|mailbox| Command::MyRights { mailbox }),
    ];
    prop_oneof![
        1 => plain,
        2 => session,
        4 => names,
        6 => messages,
        2 => access,
        // In boxes: a strategy of all commands is too large for a test's stack.
        4 => extensions().boxed(),
        2 => transfers().prop_map(Command::Node).boxed(),
    ]
}

fn transfers() -> impl Strategy<Value = NodeCommand> {
    use NodeCommand as T;
    prop_oneof![
        select(vec![T::Export, T::Depart, T::Release, T::Discard]),
        (any::<bool>(), any::<bool>(), set()).prop_map(|(moving, uid, set)| T::Claim {
            moving,
            uid,
            set
        }),
        (text(), text(), text(), 0..=i64::MAX as u64).prop_map(|(id, node, partition, home)| {
            T::Leave {
                id,
                node,
                partition,
                home,
            }
        }),
        (text(), mailbox(), any::<u32>(), 0..=i64::MAX as u64).prop_map(
            |(id, mailbox, messages, octets)| T::Receive {
                id,
                mailbox,
                messages,
                octets,
            }
        ),
        vec(any::<u8>(), 0..50).prop_map(|block| T::Stage { block }),
        any::<u32>().prop_map(|messages| T::Adopt { messages }),
        (text(), text(), 0..=i64::MAX as u64).prop_map(|(id, partition, home)| T::Outcome {
            id,
            partition,
            home,
        }),
    ]
}

/// Text of a status response, which starts with no bracket and ends with no literal.
fn resp_text() -> impl Strategy<Value = String> {
    "[^\\x00\r\n\\[ ][^\\x00\r\n]{0,20}".prop_filter("literal", |text| !text.ends_with('}'))
}

fn code() -> impl Strategy<Value = Code> {
    prop_oneof![
        select(vec![
            Code::Alert,
            Code::AlreadyExists,
            Code::AuthenticationFailed,
            Code::AuthorizationFailed,
            Code::Cannot,
            Code::ClientBug,
            Code::Closed,
            Code::CompressionActive,
            Code::ContactAdmin,
            Code::Corruption,
            Code::Expired,
            Code::ExpungeIssued,
            Code::HasChildren,
            Code::InUse,
            Code::Limit,
            Code::NoModSeq,
            Code::NonExistent,
            Code::NoPerm,
            Code::NotificationOverflow,
            Code::NotSaved,
            Code::OverQuota,
            Code::Parse,
            Code::PrivacyRequired,
            Code::ReadOnly,
            Code::ReadWrite,
            Code::ServerBug,
            Code::TooBig,
            Code::TryCreate,
            Code::UidNotSticky,
            Code::UidRequired,
            Code::MetadataNoPrivate,
            Code::MetadataTooMany,
            Code::Unavailable,
            Code::UnknownCte,
            Code::UseAttr,
            Code::Node(NodeCode::NotHere),
            Code::Node(NodeCode::Revision(u64::MAX)),
            Code::Node(NodeCode::Adopted(None)),
        ]),
        (number(), uids()).prop_map(|(uidvalidity, uids)| Code::AppendUid { uidvalidity, uids }),
        vec(upper_atom(), 0..3).prop_map(Code::BadCharset),
        vec(upper_atom(), 1..4).prop_map(Code::Capability),
        vec(upper_atom(), 1..4).prop_map(Code::BadEvent),
        any::<u32>().prop_map(Code::MetadataLongEntries),
        any::<u32>().prop_map(Code::MetadataMaxSize),
        (of("[A-Za-z0-9.]{1,8}"), of(any::<u32>()), of(number()))
            .prop_map(|(tag, done, goal)| Code::InProgress { tag, done, goal }),
        "[A-Za-z0-9.]{1,8}".prop_map(Code::NoUpdate),
        (number(), uids(), uids()).prop_map(|(uidvalidity, from, to)| Code::CopyUid {
            uidvalidity,
            from,
            to,
        }),
        (0..=MAX63).prop_map(Code::HighestModSeq),
        "[A-Za-z0-9_-]{1,22}".prop_map(Code::MailboxId),
        uids().prop_map(Code::Modified),
        (flags(), any::<bool>())
            .prop_map(|(flags, any_keyword)| Code::PermanentFlags { flags, any_keyword }),
        "imap://[a-z;=*@/.]{0,20}".prop_map(Code::Referral),
        vec(any::<u8>(), 1..20).prop_map(|url| Code::bad_url(&url)),
        number().prop_map(Code::UidNext),
        number().prop_map(Code::UidValidity),
        number().prop_map(Code::Unseen),
        "X-[A-Z]{1,6}( [a-z()\"0-9]{1,10})?".prop_map(Code::Other),
    ]
}

fn name() -> impl Strategy<Value = MailboxArg> {
    text().prop_map(MailboxArg::from)
}

fn attribute() -> impl Strategy<Value = ListAttribute> {
    prop_oneof![
        select(vec![
            ListAttribute::NoInferiors,
            ListAttribute::NoSelect,
            ListAttribute::NonExistent,
            ListAttribute::Marked,
            ListAttribute::Unmarked,
            ListAttribute::HasChildren,
            ListAttribute::HasNoChildren,
            ListAttribute::Subscribed,
            ListAttribute::Remote,
            ListAttribute::NoAccess,
        ]),
        select(SpecialUse::ALL.to_vec()).prop_map(ListAttribute::SpecialUse),
        "X[a-z]{1,6}".prop_map(ListAttribute::Other),
    ]
}

fn separator() -> impl Strategy<Value = Option<char>> {
    of(select(vec!['/', '.', '\\', '"', 'ü']))
}

fn row() -> impl Strategy<Value = ListRow> {
    (
        vec(attribute(), 0..4),
        separator(),
        name(),
        vec(upper_atom(), 0..3),
        of(name()),
    )
        .prop_map(
            |(attributes, separator, name, child_info, old_name)| ListRow {
                attributes,
                separator,
                name,
                child_info,
                old_name,
            },
        )
}

fn status_value() -> impl Strategy<Value = StatusValue> {
    prop_oneof![
        any::<u32>().prop_map(StatusValue::Messages),
        any::<u32>().prop_map(StatusValue::Recent),
        any::<u32>().prop_map(StatusValue::UidNext),
        any::<u32>().prop_map(StatusValue::UidValidity),
        any::<u32>().prop_map(StatusValue::Unseen),
        any::<u32>().prop_map(StatusValue::Deleted),
        (0..=MAX63).prop_map(StatusValue::Size),
        (0..=MAX63).prop_map(StatusValue::HighestModSeq),
        of(0..=MAX63).prop_map(StatusValue::AppendLimit),
        "[A-Za-z0-9_-]{1,22}".prop_map(StatusValue::MailboxId),
        (0..=MAX63).prop_map(StatusValue::DeletedStorage),
    ]
}

fn raw_value() -> impl Strategy<Value = Vec<u8>> {
    select(vec!["NIL", "()", "(\"a b\" (NIL 7) {3}\r\n)\r\n)", "\"x\""])
        .prop_map(|value| value.as_bytes().to_vec())
}

fn fetch_data() -> impl Strategy<Value = FetchData> {
    let body = || {
        of(prop_oneof![
            any::<Vec<u8>>(),
            vec(any::<u8>(), 1_000..1_100)
        ])
    };
    prop_oneof![
        number().prop_map(FetchData::Uid),
        flags().prop_map(FetchData::Flags),
        date_time().prop_map(FetchData::InternalDate),
        (0..=MAX63).prop_map(FetchData::Rfc822Size),
        raw_value().prop_map(FetchData::Envelope),
        raw_value().prop_map(FetchData::Body),
        raw_value().prop_map(FetchData::BodyStructure),
        (section(), of(0..=MAX63), body()).prop_map(|(section, origin, octets)| {
            FetchData::Section {
                section,
                origin,
                octets,
            }
        }),
        body().prop_map(FetchData::Rfc822),
        body().prop_map(FetchData::Rfc822Header),
        body().prop_map(FetchData::Rfc822Text),
        (path(0), of(0..=MAX63), body()).prop_map(|(path, origin, octets)| FetchData::Binary {
            path,
            origin,
            octets,
        }),
        (path(0), 0..=MAX63).prop_map(|(path, size)| FetchData::BinarySize { path, size }),
        (1..=MAX63).prop_map(FetchData::ModSeq),
        "[A-Za-z0-9_-]{1,22}".prop_map(FetchData::EmailId),
        of("[A-Za-z0-9_-]{1,22}").prop_map(FetchData::ThreadId),
        of(date_time()).prop_map(FetchData::SaveDate),
        of(text().prop_map(String::into_bytes)).prop_map(FetchData::Preview),
    ]
}

fn thread_list() -> impl Strategy<Value = ThreadList> {
    let leaf = vec(number(), 1..4).prop_map(|messages| ThreadList {
        messages,
        replies: Vec::new(),
    });
    leaf.prop_recursive(3, 12, 4, |inner| {
        (vec(number(), 0..3), vec(inner, 2..4))
            .prop_map(|(messages, replies)| ThreadList { messages, replies })
    })
}

fn namespaces() -> impl Strategy<Value = Vec<NamespacePrefix>> {
    vec(
        (name(), separator()).prop_map(|(prefix, separator)| NamespacePrefix { prefix, separator }),
        0..3,
    )
}

fn context_update() -> impl Strategy<Value = ContextUpdate> {
    let pairs = || vec((any::<u32>(), uids()), 1..4);
    prop_oneof![
        pairs().prop_map(ContextUpdate::AddTo),
        pairs().prop_map(ContextUpdate::RemoveFrom),
    ]
}

fn untagged() -> impl Strategy<Value = Untagged> {
    let status = (
        select(vec![
            Status::Ok,
            Status::No,
            Status::Bad,
            Status::PreAuth,
            Status::Bye,
        ]),
        of(code()),
        resp_text(),
    )
        .prop_map(|(status, code, text)| Untagged::Status { status, code, text });
    let esearch = (
        of(tag().prop_map(|t| t.to_string())),
        any::<bool>(),
        (of(number()), of(number()), of(any::<u32>())),
        of(uids()),
        of(0..=MAX63),
        of((partial_range(), of(uids()))),
        (
            of(name()),
            of(number()),
            vec(1u32..=100, 0..3),
            vec(context_update(), 0..3),
        ),
    )
        .prop_map(
            |(tag, uid, (min, max, count), all, modseq, partial, more)| {
                let (mailbox, uidvalidity, relevancy, updates) = more;
                Untagged::Esearch(Esearch {
                    tag,
                    mailbox,
                    uidvalidity,
                    uid,
                    min,
                    max,
                    all,
                    count,
                    modseq,
                    partial,
                    relevancy,
                    updates,
                })
            },
        );
    prop_oneof![
        status,
        vec(upper_atom(), 0..4).prop_map(Untagged::Capability),
        vec(upper_atom(), 0..4).prop_map(Untagged::Enabled),
        row().prop_map(Untagged::List),
        row().prop_map(Untagged::Lsub),
        (name(), vec(status_value(), 0..5))
            .prop_map(|(mailbox, items)| Untagged::MailboxStatus { mailbox, items }),
        flags().prop_map(Untagged::Flags),
        any::<u32>().prop_map(Untagged::Exists),
        any::<u32>().prop_map(Untagged::Recent),
        any::<u32>().prop_map(Untagged::Expunge),
        (any::<bool>(), uids()).prop_map(|(earlier, uids)| Untagged::Vanished { earlier, uids }),
        (number(), vec(fetch_data(), 0..5)).prop_map(|(seq, items)| Untagged::Fetch { seq, items }),
        (number(), vec(fetch_data(), 0..5))
            .prop_map(|(uid, items)| Untagged::UidFetch { uid, items }),
        (vec(number(), 1..5), of(1..=MAX63))
            .prop_map(|(numbers, modseq)| Untagged::Search { numbers, modseq }),
        esearch,
        (vec(number(), 1..5), of(1..=MAX63))
            .prop_map(|(numbers, modseq)| Untagged::Sort { numbers, modseq }),
        vec(thread_list(), 0..4).prop_map(Untagged::Thread),
        (name(), entry_values())
            .prop_map(|(mailbox, entries)| Untagged::Metadata { mailbox, entries }),
        (name(), vec(entry(), 1..4))
            .prop_map(|(mailbox, entries)| Untagged::MetadataChanged { mailbox, entries }),
        (text(), vec((upper_atom(), 0..=MAX63, 0..=MAX63), 0..3)).prop_map(|(root, resources)| {
            let resources = resources
                .into_iter()
                .map(|(name, usage, limit)| QuotaResource { name, usage, limit });
            Untagged::Quota {
                root,
                resources: resources.collect(),
            }
        }),
        (name(), vec(text(), 0..3))
            .prop_map(|(mailbox, roots)| Untagged::QuotaRoot { mailbox, roots }),
        (namespaces(), namespaces(), namespaces()).prop_map(|(personal, other_users, shared)| {
            Untagged::Namespace(NamespaceRow {
                personal,
                other_users,
                shared,
            })
        }),
        id_fields().prop_map(Untagged::Id),
        (name(), vec((text(), text()), 0..4))
            .prop_map(|(mailbox, entries)| Untagged::Acl { mailbox, entries }),
        (name(), text(), text(), vec(text(), 0..4)).prop_map(
            |(mailbox, identifier, required, optional)| Untagged::ListRights {
                mailbox,
                identifier,
                required,
                optional,
            }
        ),
        (name(), text()).prop_map(|(mailbox, rights)| Untagged::MyRights { mailbox, rights }),
        ("X[A-Z]{2,8}", "([a-z()\"]{1,8}( [a-z]{1,3})?)?").prop_map(|(keyword, rest)| {
            Untagged::Other {
                keyword,
                rest: rest.into_bytes(),
            }
        }),
    ]
}

pub fn response() -> impl Strategy<Value = Response> {
    prop_oneof![
        1 => resp_text().prop_map(|text| Response::Continuation { text }),
        2 => (tag(), select(vec![Status::Ok, Status::No, Status::Bad]), of(code()), resp_text())
            .prop_map(|(tag, status, code, text)| Response::Tagged { tag, status, code, text }),
        8 => untagged().prop_map(Response::Untagged),
    ]
}

pub fn append() -> impl Strategy<Value = (MailboxArg, Vec<Flag>, Option<DateTime>, Vec<u8>)> {
    (
        mailbox(),
        flags(),
        of(date_time()),
        vec(any::<u8>(), 0..200),
    )
}

pub fn url() -> impl Strategy<Value = MessageUrl> {
    let mailbox =
        (url_name(), of(number())).prop_map(|(name, uidvalidity)| UrlMailbox { name, uidvalidity });
    let partial = (0..=MAX63, prop_oneof![1..=MAX63, Just(u64::MAX)])
        .prop_map(|(origin, length)| Partial { origin, length });
    (of(mailbox), number(), section(), of(partial)).prop_map(|(mailbox, uid, section, partial)| {
        MessageUrl {
            mailbox,
            uid,
            section,
            partial,
        }
    })
}

fn url_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9./%;=&?# \"äß台\u{0}-\u{20}]{1,12}",
        "[./]{1,6}",
        any::<String>().prop_filter("not empty", |name| !name.is_empty()),
    ]
}
