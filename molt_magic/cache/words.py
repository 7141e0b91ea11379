"""The closed word lists of the guard (English). Written for it, by hand; every word that is not here counts as content."""

from __future__ import annotations


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


CONTRACTIONS = {
    "what's": "what is", "whats": "what is", "who's": "who is", "where's": "where is", "when's": "when is", "how's": "how is",
    "why's": "why is", "that's": "that is", "there's": "there is", "it's": "it is", "he's": "he is", "she's": "she is",
    "i'm": "i am", "you're": "you are", "we're": "we are", "they're": "they are", "i've": "i have", "you've": "you have",
    "we've": "we have", "they've": "they have", "i'll": "i will", "you'll": "you will", "we'll": "we will", "it'll": "it will",
    "can't": "can not", "cannot": "can not", "won't": "will not", "shan't": "shall not", "don't": "do not", "dont": "do not",
    "doesn't": "does not", "didn't": "did not", "isn't": "is not", "aren't": "are not", "wasn't": "was not",
    "weren't": "were not", "hasn't": "has not", "haven't": "have not", "hadn't": "had not", "couldn't": "could not",
    "wouldn't": "would not", "shouldn't": "should not", "mustn't": "must not", "needn't": "need not", "let's": "let us",
}  # fmt: skip

# Articles may come and go ...
ARTICLES = _set("a an the")
# ... but "a few" is not "few", and in "vitamin a" it is no article.
ARTICLE_COUNTS_BEFORE = _set("few little lot bit number most least more fewer")
LETTER_FOLLOWS = _set(
    "vitamin hepatitis plan type grade group class option question appendix section point series model influenza team"
    " league blood schedule level note key column row part side variant factor"
)
# The present forms of be and do may change places ("tell me what X is"), not in number: "what is he like", "what does he like".
MOVING = {"is": "be", "are": "be", "am": "be", "be": "be", "does": "do", "do": "do"}

GREETINGS = (
    "(?:hi|hello|hey|hiya|(?:good )?(?:morning|afternoon|evening))(?: there| all| team| everyone)?|please|kindly|okay|ok|so"
    "|um|uh|er|yeah|(?:just )?(?:a )?(?:quick|silly|stupid|simple) (?:one|question)|(?:i am |i'm |i was )?just wondering"
    "|sorry(?: to bother you)?(?:,? but)?|but"
)
# A greeting is one only before these ("hello world" is none).
AFTER_GREETING = _set(
    "there please kindly um uh er so quick silly but hi hello just sorry should has have was were am may might must"
    " who's what's where's when's how's whats can could would will i what which who whom whose when where why how is are"
    " do does tell"
    " explain write list show summarize summarise translate describe give"
)

# "Can you <verb> ..." asks for the thing itself; with other verbs ("can you swim") it is a question about ability.
TASKS = _set(
    "tell explain write list show summarize summarise translate describe provide generate suggest recommend define"
    " rewrite draft outline classify calculate compute compare convert review"
)

# "How do you <verb>" and "how do we" mean anyone for these; for others ("how do you feel") they mean who is named.
PROCEDURES = _set(
    "make cook bake boil fry install uninstall sort convert calculate compute create build fix repair change remove"
    " delete reset update configure clean tie draw grow open close connect find solve merge reverse parse split join"
    " add set pronounce spell measure check format filter count replace rename copy declare define initialize print"
    " write start stop restart enable disable upgrade downgrade encrypt decrypt compress extract fold iron peel plant"
    " prune wash prove learn use apply run test deploy download upload import export save load send plot train"
)
# "How do I <verb>" is no request for instructions with these.
STATES = _set(
    "look feel sound seem do be smell appear compare spend describe introduce see view define rate differ think like know want"
    " sleep breathe relate celebrate plan"
)

NEGATIONS = _set("not no never none nothing nobody nowhere neither nor without except unless hardly barely")
YES_NO = _set("is are am was were do does did can could should would will may might must has have had shall")
OBJECTS = _set("the a an my your not it this that some")  # "do the dishes" is no question
QUESTION_WORDS = _set("what which who whom whose when where why how")

_UNITS = (
    "zero one two three four five six seven eight nine ten"
    " eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_OTHERS = "hundred thousand million billion trillion dozen half quarter once twice thrice double triple"
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
NUMBER_WORDS: dict[str, str] = {
    **{word: str(value) for value, word in enumerate(_UNITS.split())},
    **{word: str(10 * value) for value, word in enumerate(_TENS.split(), start=2)},
    **{word: word for word in _OTHERS.split()},
    **{word: f"{value}." for value, word in enumerate(_ORDINALS.split(), start=1)},
    "1st": "1.", "2nd": "2.", "3rd": "3.",
}  # fmt: skip

# A phrase moves to the front with these ("in Python, how ..."); never with from, to, of, than, by, over, before, after:
# what stands around those are its arguments.
MOVABLE = "in on at for using with during within"
# Around these the two arguments may change places without changing the question.
SYMMETRIC = _set("difference differences similarity similarities")
# ... unless the prompt has one of these: then the order of what it names may be what it is about, or it may reckon with it.
GIVES_AN_ORDER = _set(
    "order ordered ordering sequence respectively first second third last next former latter before after then from to until"
    " till through since rank ranks ranked ranking sort sorted arrange column columns row rows table header headers list left"
    " right above below position place respective corresponding concatenate join append prepend"
    " if when suppose assume assuming given let say minus plus subtract subtracted add sum times divide divided ratio result"
    " direction towards toward sign signed positive negative seat alternately starting beginning ending one other"
)

# Taken for one another only when the second embedder agrees too. Left out on purpose is whatever has a second sense, or a
# technical one: fast (a diet), hard (a surface), right (a side), present (now), delete (SQL), purchase (an order).
SYNONYMS = (
    "begin start", "begins starts", "quickly rapidly", "large big", "larger bigger", "largest biggest", "photo photograph",
    "photos photographs", "automobile car", "film movie", "films movies", "tv television", "phone telephone", "bicycle bike",
    "fridge refrigerator", "airplane aeroplane", "doctor physician", "kids children", "kid child", "simplest easiest",
    "assist help", "sofa couch", "repair fix", "pick choose", "approximately roughly", "illness sickness", "wealthy rich",
    "maths math mathematics", "advert advertisement", "tips advice",
)  # fmt: skip
# Words that only add tone.
TONE = _set("really actually basically exactly um uh er")

# Endings and whole words of the two spellings of English.
SPELLINGS = {
    "colour": "color", "favourite": "favorite", "behaviour": "behavior", "neighbour": "neighbor", "flavour": "flavor",
    "honour": "honor", "labour": "labor", "humour": "humor", "centre": "center", "metre": "meter", "litre": "liter",
    "theatre": "theater", "fibre": "fiber", "grey": "gray", "organise": "organize", "summarise": "summarize",
    "optimise": "optimize", "analyse": "analyze", "recognise": "recognize", "visualise": "visualize", "normalise": "normalize",
    "initialise": "initialize", "serialise": "serialize", "minimise": "minimize", "maximise": "maximize",
    "programme": "program", "travelling": "traveling", "modelling": "modeling", "cancelled": "canceled", "defence": "defense",
    "kilometre": "kilometer", "centimetre": "centimeter", "aluminium": "aluminum", "jewellery": "jewelry", "tyre": "tire",
}  # fmt: skip

# A prompt with one of these speaks about words themselves: then every word counts as it is written.
ABOUT_WORDS = _set(
    "word words spell spelled spelt spelling synonym synonyms antonym antonyms mean means meaning meanings define"
    " definition translate translation rhyme rhymes rhyming syllable syllables letter letters pronounce pronunciation"
    " etymology phrase sentence sentences grammar plural plurals singular noun nouns verb verbs adjective adjectives"
    " tense spellings british american rewrite paraphrase proofread correct anagram palindrome acronym abbreviation"
    " classify sentiment"
)

# Of these, the ones that ask for a thing by its word: a second embedder may decide there.
ABOUT_MEANING = _set("mean means meaning meanings define definition british american")

# With one of these a prompt may be about white space ...
ABOUT_SPACES = _set(
    "space spaces spacing spaced whitespace whitespaces blank blanks tab tabs tabbed tabulator tsv csv delimiter delimiters"
    " separated separator separators indent indents indented indentation newline newlines linebreak linebreaks line lines"
    " paragraph paragraphs crlf trailing leading trim trimmed strip stripped pad padded padding align aligned alignment gap"
    " gaps format formats formatted formatting layout column columns width wide long length string strings regex token tokens"
    " identical differ verbatim literally concatenate reverse markdown yaml diff"
)
# ... or about the characters that it is made of.
ABOUT_CHARACTERS = _set(
    "character characters char chars nfc nfd nfkc nfkd unicode utf ascii latin codepoint codepoints points byte bytes encode"
    " encoded encoding encodings decode decoded normalize normalise normalized normalised normalization normalisation composed"
    " decomposed precomposed glyph glyphs accent accents accented diacritic diacritics typographic typography quote quotes"
    " quotation apostrophe apostrophes punctuation invisible hash checksum"
)

# Plural and singular that do not mean the same, or that are no plural at all.
NOT_PLURAL = _set(
    "always perhaps besides news series species physics mathematics economics politics ethics statistics athletics"
    " glasses arms goods customs means works savings manners spirits minutes forces spectacles odds brains pains airs"
    " blues looks dates letters grounds quarters premises proceeds thanks this his its hers ours yours theirs has was"
    " does as us yes plus minus versus bus gas lens virus focus status bonus campus census basis analysis crisis"
    " thesis process address access class mass pass loss less unless across rights interests contents terms sales"
    " friends lovers partners enemies neighbors neighbours"
    " woods waters shorts heads seconds times troops morals values clothes returns"
)

# Title case and lower case of these are different words; of a word in capitals (IT, US, WHO) they always are.
AMBIGUOUS_CASE = _set(
    "apple turkey china polish may march august will mark bill rose grace hope faith frank jack sue pat rob drew art"
    " dick go rust swift amazon windows word access target shell gap jordan chad mercury venus mars orange nice"
    " reading bath mobile buffalo hungary danish chili chile cologne lima panama guinea georgia virginia victoria brie"
    " champagne cognac bordeaux orion explorer chrome edge safari opera firefox teams outlook slack zoom discord"
    " notion meta oracle sage spark ember ruby pearl perl crystal julia cobra viper julian earth sun moon god bush"
    " stone wood fox wolf king bishop pope parliament congress state democrat republican catholic liberal conservative"
    " olive ivy iris lily violet daisy jasmine ginger ray ward cook baker potter smith mason carpenter fisher hunter"
    " page chase miles dean earl duke prince major general sunny sandy rocky dusty wally gene lance cliff dale glen"
    " heath brook christian joy charity patience prudence harmony melody carol dawn eve april june summer autumn misty"
    " stormy sky excel jaguar mustang galaxy puma dove tide visa delta fidelity citizen signal telegram kindle fire reader keep"
    " drive maps pages numbers mail spring"
)

# Verbs of instructions beside PROCEDURES: with these "how can we" and "ways of ...ing" ask how anyone does it.
COMMON_VERBS = _set(
    "improve lose gain get stop prevent avoid reduce increase learn study prepare start begin become overcome control"
    " earn make save invest find choose treat cure quit handle deal protect manage practice practise teach write read"
    " speak use hide remove change move motivate solve recover travel hack unlock block improve market promote"
    " prove cope forget concentrate focus approach crack master develop design generate produce store secure"
)

# Words that English has and the languages around it have not ("we", "my" and "not" are in Dutch, Czech or German too).
ENGLISH = (QUESTION_WORDS | TASKS | CONTRACTIONS.keys() | _set(
    "the is of for are does did and with your this that these those should would could have has been can you they it from to"
    " about between into which if than there their our give make find mean get any some best good way ways people difference"
))  # fmt: skip
# Enough to be one when it comes first and no word of another language follows.
ENGLISH_OPENINGS = QUESTION_WORDS | CONTRACTIONS.keys() | _set("do does did are should would could were has have is can")
# Frequent words of other languages in Latin script. Left out: those that English has too (die, in, a, on, me).
OTHER_LANGUAGES = _set(
    "der das den dem des ein eine einen einer und ist sind nicht wie warum wer welche welcher wo ich wir mit für von zu"
    " auf gib mir le la les un une est sont et que qui quoi quel quelle quels quelles du pour dans avec sans ne pas je"
    " el los las unos una es son y qué cómo cuál cuáles por para con sin del al il lo gli che di della sono perché come"
    " o os um uma e é não como het een de en van niet hoe wat waarom welke att och är inte hur vad och det som på"
)
# Prepositions of which one may stand for the other where all else is the same.
NEAR_PREPOSITIONS = frozenset(frozenset(pair.split()) for pair in ("on about", "in of", "in at"))

# English words that are something else in capitals (WHO, AIDS, SAT); of other words, capitals
# throughout are only a way of writing.
ACRONYMS_TOO = _set(
    "am an as at be by do go he hi if in is it me my no of oh ok on or so to up us we ad id pa ma pi re ex ax ox la de"
    " ml mb gb kb tb mg kg km cm mm nm hz pm ph ms ns mv mw cd js ts ps py rs cc co"
    " who aids aid sat act cat gate mat ram rom sap sip pin pins bit set net neat age arc art ask bat cab cam cap car cop dad"
    " era fan far fed gap gas gem gig ice ill imp ink its jet kit lab lag law led lie lot low mad man map mas may men mid"
    " mix mom mop mud nap new nor not now nun nut oak oat odd off oil old one our out owl own pad pan pea pen pet pie pig"
    " pit pod pop pot pro pub put raw red rib rid rim rip rod rot row rub rug run sad saw say sea see she shy sin sir sit"
    " six ski sky son spa spy sum sun tab tag tan tap tar tax tea ten the tie tin tip toe ton too top toy try tub two use"
    " van vet via war was way web wed wet why win won yes yet you zip all and any are but can did for get had has her him"
    " his how let pal per ate bar bed bee beg bid big bin bow box boy bud bug bus buy cow cry cup cut day den dew dig dim"
    " dip dog dot dry due ear eat egg ego end fat few fig fin fit fix flu fly fog fox fun fur gel god got gum gun gut guy"
    " gym ham hat hen hip hit hop hot hub hug hut key kid lap leg lid lip log rest soap ajax basic cobol lisp make cast"
    " fast less more most nice norm once open pass pack peak ping plan pool post pump push race rank rare rich ride ring"
    " rise road role roll root rose rule rush safe sage sail same sand save scan seal seat self sell send ship show side"
    " sign site size skip slim slip slow smart snap snow soft solo some song soon sort soul spam span spin spot star stem"
    " step stop such suit swat swift talk tall tank tape task team tech tell term test that them then they thin this tide"
    " time tiny tire toll tone tool tour town trap tray tree trim trip true tube tune turn twin type unit used user vast"
    " very view vote wage wait wake walk wall want warm warn wash wave weak wear week well what when wide wife will wind"
    " wine wing wire wise wish with wood word work worm yard year zero zone atlas eagle force frame grace ideal index laser"
    " light lotus model motor mouse music nurse ocean orbit panel paper phase pilot point power prime prism radar radio"
    " scope score sense shape share shift solar sonar sound space spark speed spine sport stage stamp start state steam"
    " storm story study style sugar table thor tiger title torch total touch tower track trade train treat trust unity"
    " value video virus vital voice waste watch water whale wheel wings world"
)
