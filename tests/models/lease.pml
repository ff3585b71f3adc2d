/*
 * The lease of ONE account by TWO workers that die or stall at any step, and the directory it is
 * for: answers get lost, calls land late, somebody else may take the name, the user may cancel.
 *
 *   user ─ cancel ─▶ the account's row ◀─ claim, record ─ worker 0, 1 ─ find, create ─▶ directory
 *     tick ─ declare lost, free ─▶ ▲ ▲ ◀─ adopt, remove ─ reconciler      └─▶ late ─ lands ─▶ ▲
 *
 * A stall needs no step of its own: every order of steps is searched, so each worker is a zombie in
 * some of them. Without clocks, the watch may declare a live session lost at any moment. Left out:
 * places and stale duplicates in the line, slices, counters, handing back at SIGTERM, retry and
 * undo by the user, and attempts (they tell apart two leases of one session; here it has one).
 */

/* What must hold (written out at the end), and the switches that break it:
 *
 *   never_two   at most one entry of ours is ever there     NO_UNIQUE | NEW_NAME | RENAME_IN_DOUBT
 *   created     created means: there, once, and ours        ADOPT_FOREIGN | NO_FENCE
 *   untouched   a foreign entry stays as it is              ADOPT_FOREIGN
 *   stays       only the reconciler moves what is final     NO_FENCE
 *   ends        every job ends, if one worker goes on       NO_POISON | NO_DISPATCHER | FREE_ONCE |
 *                                                           NO_LIVE_CHECK with FREE_AT_MARK
 *   no_orphan   no entry stays whose row denies it          NO_RECONCILER | LOOK_ONCE |
 *                                                           DELETED_IS_OVER
 *
 *   NO_UNIQUE        the directory takes a second entry of one name
 *   NEW_NAME         a later lease draws a new name instead of looking for the old one
 *   RENAME_IN_DOUBT  a taken name gives way to a new one though a call under it has no answer yet:
 *                    once the foreign entry goes away again, that call lands after all
 *   ADOPT_FOREIGN    whatever bears the name is taken for ours
 *   NO_FENCE         a result is accepted from anybody
 *   NO_POISON        no number of crashes sets an account aside
 *   NO_DISPATCHER    nobody puts a job back into the line
 *   FREE_ONCE        only who declared a session lost frees its account, and may die before
 *   NO_LIVE_CHECK    a session that was declared lost may claim
 *   FREE_AT_MARK     to declare lost and to free are one transaction, and nobody sweeps later
 *   NO_RECONCILER    nobody looks at the directory after the end
 *   LOOK_ONCE        one look, as soon as no call is on its way; but a stalled worker sends another
 *   DELETED_IS_OVER  nobody looks again for what was removed once; a second late call lands
 *
 * Rules of which no property needs each alone, since another covers for it:
 *
 *   NO_FIND          a later lease creates at once: where the directory refuses, it is looked for
 *   NO_LIVE_CHECK    each tick frees whatever a lost session holds, so also what it claims later
 *   FREE_AT_MARK     a lost session claims nothing, so nothing is left to free
 *   NO_OWNER_CHECK   only a lost session is robbed of its account, and it records nothing anyway
 *   NO_LIVE_RECORD   a lost session still records what nobody freed yet, and that is true
 */

#ifndef TRIES
#define TRIES 2 /* 3 hold as well, and take twice as long */
#endif
#ifndef CRASHES
#define CRASHES 3 /* so many set the account aside */
#endif
#ifndef MISTAKES
#define MISTAKES 2 /* so often a session that lives is declared lost; a dead one is each time */
#endif
#define UNANSWERED 1 /* finds for a cancelled job, which has no tries to run out of */
#define NAMES 2

mtype:status = { PLANNED, LEASED, UNSURE, CREATED, FAILED, CANCELLED, DELETED };
mtype:outcome = { FOUND, TAKEN, REJECTED, RETRY, UNKNOWN };
mtype:entry = { NOTHING, OURS, FOREIGN };

/* Beside 0 and 1, the present sessions of the workers, a lease may belong to an earlier one: SILENT
   has died unnoticed, LOST was declared lost. All such sessions behave alike. */
#define NOBODY 2
#define SILENT 3
#define LOST 4

mtype:status status = PLANNED;
byte owner = NOBODY;
byte name = 0;
byte tries = 0;
byte crashes = 0;
bool cancelling = false;
bool in_line = true;
bool live[2] = true;
bool doubt = false; /* a call under the present name has no answer, and may land */

mtype:entry directory[NAMES] = NOTHING;
byte ours = 0;
byte on_its_way[NAMES] = 0; /* calls whose worker gave up waiting, or died */
bool foreign_came = false;
bool foreign_there = false;
byte mistakes = 0;
byte unanswered = 0;

#define final (status == CREATED || status == FAILED || status == CANCELLED || status == DELETED)
#define claimable (status == UNSURE || (status == PLANNED && !cancelling))
#define is_nothing(n) (directory[n] == NOTHING)

#ifdef ADOPT_FOREIGN
#define is_ours(n) (directory[n] != NOTHING)
#define is_foreign(n) false
#else
#define is_ours(n) (directory[n] == OURS)
#define is_foreign(n) (directory[n] == FOREIGN)
#endif

#ifdef NO_UNIQUE
#define is_free(n) true
#else
#define is_free(n) is_nothing(n)
#endif

#ifdef NO_LIVE_CHECK
#define may_claim(w) true
#else
#define may_claim(w) live[w]
#endif

#if defined(NO_FENCE)
#define may_record(w) true
#elif defined(NO_OWNER_CHECK)
#define may_record(w) (live[w] && status == LEASED)
#elif defined(NO_LIVE_RECORD)
#define may_record(w) (owner == w && status == LEASED)
#else
#define may_record(w) (live[w] && owner == w && status == LEASED)
#endif

#ifdef RENAME_IN_DOUBT
#define may_rename(w) (live[w] && owner == w)
#else
#define may_rename(w) (live[w] && owner == w && !doubt)
#endif

inline enter(n) {
    if
    :: is_free(n) ->
        ours++;
        if
        :: is_nothing(n) -> directory[n] = OURS
        :: else
        fi
    :: else
    fi
}

inline remove(n) {
    if
    :: directory[n] == OURS -> ours--
    :: else
    fi;
    directory[n] = NOTHING
}

inline free() {
    owner = NOBODY;
    doubt = true;
#ifndef NO_POISON
    crashes++;
#endif
    if
    :: crashes == CRASHES -> status = FAILED
    :: else ->
        status = UNSURE;
#ifndef NO_DISPATCHER
        in_line = true
#endif
    fi
}

inline lose(w) {
    mistakes++;
    live[w] = false;
#ifdef FREE_AT_MARK
    if
    :: owner == w -> free()
    :: else
    fi
#endif
}

/* A cancelled job waits for an answer however often it gets none: it has nothing to try. */
inline record(w) {
    if
    :: may_record(w) ->
        owner = NOBODY;
        if
        :: outcome == FOUND -> status = CREATED
        :: outcome == TAKEN || outcome == REJECTED -> status = FAILED
        :: else ->
            if
            :: tries < TRIES && !find_only -> tries++
            :: else
            fi;
            if
            :: tries == TRIES && !find_only -> status = FAILED
            :: else ->
                if
                :: outcome == UNKNOWN -> status = UNSURE
                :: outcome == RETRY && cancelling -> status = CANCELLED
                :: outcome == RETRY && !cancelling -> status = PLANNED
                fi
            fi
        fi
    :: else
    fi
}

/* Values that nobody reads any more would only multiply the states. */
inline forget() {
    n = 0;
    find_only = false;
    outcome = UNKNOWN
}

inline begin_anew(w) {
    if
    :: owner == w && live[w] -> owner = SILENT
    :: owner == w && !live[w] -> owner = LOST
    :: else
    fi;
    live[w] = true;
    forget()
}

/* Killed, and started again or not. Worker 1 always is: somebody must be left to end the job. */
#define killed \
    :: atomic { true -> begin_anew(w); goto idle } \
    :: atomic { w == 0 -> begin_anew(w); goto gone }

proctype worker(bit w) {
    byte n = 0; /* the name as it was at the claim: a zombie does not see it change */
    bool find_only = false;
    mtype:outcome outcome = UNKNOWN;

idle:
    if
    :: atomic { in_line && claimable && may_claim(w) ->
            in_line = false;
            owner = w;
            find_only = cancelling;
            if
            :: status == PLANNED -> status = LEASED; n = name; goto create
#if defined(NEW_NAME)
            :: status == UNSURE && !find_only && name + 1 < NAMES ->
                status = LEASED; name++; n = name; goto create
            :: status == UNSURE && (find_only || name + 1 == NAMES) ->
                status = LEASED; n = name; goto find
#elif defined(NO_FIND)
            :: status == UNSURE && !find_only -> status = LEASED; n = name; goto create
            :: status == UNSURE && find_only -> status = LEASED; n = name; goto find
#else
            :: status == UNSURE -> status = LEASED; n = name; goto find
#endif
            fi
        }
    :: atomic { !live[w] -> begin_anew(w); goto idle }
    :: atomic { w == 0 -> begin_anew(w); goto gone }
    fi;

find:
    if
    :: atomic { is_ours(n) -> outcome = FOUND; goto report }
    :: atomic { is_foreign(n) -> goto taken }
    :: atomic { is_nothing(n) && find_only -> outcome = RETRY; goto report }
    :: atomic { is_nothing(n) && !find_only -> goto create }
    :: atomic { !find_only -> goto report }
    :: atomic { find_only && unanswered < UNANSWERED -> unanswered++; goto report }
    killed
    fi;

    /* A call either lands while its worker waits, or the worker stops waiting. A worker that
       stalls with its call under way is one that stalls before this step, or after it. */
create:
    if
    :: atomic { is_free(n) -> enter(n); outcome = FOUND; goto report }
    :: atomic { !is_free(n) -> goto look }
    :: atomic { on_its_way[n]++; doubt = true; goto look }
    :: atomic { outcome = RETRY; goto report }
    :: atomic { outcome = REJECTED; goto report }
    killed
    fi;

look:
    if
    :: atomic { is_ours(n) -> outcome = FOUND; goto report }
    :: atomic { is_foreign(n) -> goto taken }
    :: goto report
    killed
    fi;

    /* A name from a roster cannot be another one, so both ways are open. */
taken:
    if
    :: atomic { !find_only && n + 1 < NAMES && may_rename(w) ->
            name++; n = name; doubt = false; goto create
        }
    :: atomic { outcome = TAKEN; goto report }
    killed
    fi;

report:
    if
    :: atomic { true -> record(w); forget(); goto idle }
    killed
    fi;

gone:
    false
}

/* The ticks of whichever workers live. */
proctype tick() {
    do
#if defined(FREE_ONCE)
    :: atomic { owner == SILENT -> owner = LOST };
        if
        :: atomic { owner == LOST -> free() }
        :: true
        fi
#elif defined(FREE_AT_MARK)
    :: atomic { owner == SILENT -> free() }
#else
    :: atomic { owner == SILENT -> owner = LOST }
    :: atomic { owner == LOST || (owner < NOBODY && !live[owner]) -> free() }
#endif
#ifndef FREE_ONCE
    :: atomic { mistakes < MISTAKES && live[0] -> lose(0) }
    :: atomic { mistakes < MISTAKES && live[1] -> lose(1) }
#endif
#ifndef NO_DISPATCHER
    :: atomic { claimable && !in_line -> in_line = true }
#endif
    :: atomic { status == PLANNED && cancelling -> status = CANCELLED }
    od
}

proctype late() {
    do
    :: atomic { on_its_way[0] > 0 -> on_its_way[0]--; enter(0) }
    :: atomic { on_its_way[1] > 0 -> on_its_way[1]--; enter(1) }
    :: atomic { on_its_way[0] > 0 -> on_its_way[0]-- }
    :: atomic { on_its_way[1] > 0 -> on_its_way[1]-- }
    od
}

proctype world() {
    bool flushed = false;
    do
    :: atomic { !final && !cancelling -> cancelling = true }
    :: atomic { !foreign_came && is_nothing(0) ->
            foreign_came = true;
            foreign_there = true;
            directory[0] = FOREIGN
        }
    :: atomic { foreign_there && directory[0] == FOREIGN ->
            foreign_there = false;
            directory[0] = NOTHING
        }
    :: atomic { !flushed -> flushed = true; in_line = false }
    od
}

#ifdef DELETED_IS_OVER
#define not_wanted (status == CANCELLED)
#else
#define not_wanted (status == CANCELLED || status == DELETED)
#endif

/* Looks for the row's present name only: nothing of ours may be under an earlier one. Between any
   two of its steps it may be another worker's: what it does is compared with the row again. */
proctype reconciler() {
#ifndef NO_RECONCILER
#ifdef LOOK_ONCE
    final && on_its_way[0] == 0 && on_its_way[1] == 0;
    if
    :: is_ours(name)
    :: else -> goto over
    fi;
#endif
    do
    :: status == FAILED && is_ours(name) ->
        atomic {
            if
            :: status == FAILED -> status = CREATED
            :: else
            fi
        }
    :: not_wanted && is_ours(name) ->
        atomic {
            if
            :: is_ours(name) -> remove(name)
            :: else
            fi
        };
        atomic {
            if
            :: status == CANCELLED -> status = DELETED
            :: else
            fi
        }
    od;
#endif
over:
    false
}

init {
    atomic {
        run worker(0);
        run worker(1);
        run tick();
        run late();
        run world();
        run reconciler()
    }
}

#define orphan (ours > 0 && final && status != CREATED)

ltl never_two { [] (ours <= 1) }
ltl created { [] (status == CREATED -> (ours == 1 && directory[name] == OURS)) }
ltl untouched { [] (foreign_there -> directory[0] == FOREIGN) }
ltl stays { [] (final -> [] final) }
ltl ends { <> final }
ltl no_orphan { [] <> !orphan }
