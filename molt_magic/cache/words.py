"""The closed word lists of the guard (English). Written for it, by hand; every word that is not here counts as content."""

from __future__ import annotations

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

# Grammar that may come and go without changing what is asked. Tense (was, did, will), modals and "not" are not among it.
DROPPED = frozenset("a an the is are am be do does please kindly".split())
# "a few" is not "few", and "a little" is not "little": there the article counts.
ARTICLE_COUNTS_BEFORE = frozenset("few little lot bit".split())

GREETINGS = frozenset("hi hello hey greetings please kindly ok okay so".split())
THANKS = frozenset("please thanks thank you".split())

# "Can you <verb> ..." asks for the thing itself; with other verbs ("can you swim") it is a question about ability.
TASKS = frozenset(
    "tell explain give write list show summarize summarise translate describe help name provide create generate compare convert"
    " calculate compute recommend suggest define solve fix review classify rewrite make draft identify outline find".split()
)  # fmt: skip

# "How do you <verb>" means anyone for these; for others ("how do you feel") it means the one who is asked.
PROCEDURES = frozenset(
    "make cook bake boil fry install uninstall sort convert calculate compute create build fix repair change remove delete reset"
    " update configure clean tie draw grow open close connect find solve merge reverse parse split join add set pronounce spell"
    " measure check format filter count replace rename copy declare define initialize print write start stop restart enable"
    " disable upgrade downgrade encrypt decrypt compress extract fold iron peel plant prune wash".split()
)  # fmt: skip

NEGATIONS = frozenset("not no never none nothing nobody nowhere neither nor without except unless hardly barely".split())
QUESTION_WORDS = frozenset("what which who whom whose when where why how".split())

_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
NUMBER_WORDS: dict[str, str] = {
    **{word: str(value) for value, word in enumerate(_UNITS.split())},
    **{word: str(10 * value) for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)},
    **{word: word for word in "hundred thousand million billion trillion dozen half quarter once twice thrice double triple".split()},
    **{word: f"{value}." for value, word in enumerate(_ORDINALS.split(), start=1)},
    "1st": "1.", "2nd": "2.", "3rd": "3.",
}  # fmt: skip

# Phrases may move to the front with these ("in Python, how ..."); never with from, to, of, than, by, over, before, after:
# what stands around those are its arguments.
MOVABLE = frozenset("in on at for using with during within".split())
# Around these the two arguments may change places without changing the question.
SYMMETRIC = frozenset("difference differences similarity similarities".split())

# Taken for one another only when the second embedder agrees too. Each row: words that ask for the same in any question we
# could think of; "fast" (a diet), "hard" (a surface), "delete"/"remove" (SQL, git) and their like are left out on purpose.
SYNONYMS = (
    "begin start", "begins starts", "buy purchase", "quickly rapidly", "large big", "larger bigger", "largest biggest",
    "photo photograph picture", "photos photographs pictures", "automobile car", "film movie", "films movies", "tv television",
    "phone telephone", "bicycle bike", "fridge refrigerator", "airplane aeroplane plane", "doctor physician", "kids children",
    "kid child", "guide tutorial", "correct right", "error mistake", "errors mistakes", "simple easy", "simplest easiest",
    "assist help", "sofa couch", "repair fix", "pick choose", "approximately roughly about", "gift present",
    "gifts presents", "illness sickness", "wealthy rich", "ill sick", "maths math mathematics", "advert advertisement",
    "way method", "ways methods", "tips advice",
)  # fmt: skip
# Words that only add tone.
TONE = frozenset("really actually basically".split())

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
ABOUT_WORDS = frozenset(
    "word words spell spelled spelt spelling synonym synonyms antonym antonyms mean means meaning meanings define definition"
    " translate translation rhyme rhymes rhyming syllable syllables letter letters pronounce pronunciation etymology phrase"
    " sentence sentences grammar plural plurals singular noun nouns verb verbs adjective adjectives tense spellings british"
    " american rewrite paraphrase proofread correct anagram palindrome acronym abbreviation classify sentiment".split()
)  # fmt: skip

# Plural and singular that do not mean the same, or that are no plural at all.
NOT_PLURAL = frozenset(
    "always perhaps besides news series species physics mathematics economics politics ethics statistics athletics glasses arms"
    " goods customs means works savings manners spirits minutes forces spectacles odds brains pains airs blues looks dates"
    " letters grounds quarters premises proceeds thanks this his its hers ours yours theirs has was does as us yes plus minus"
    " versus bus gas lens virus focus status bonus campus census basis analysis crisis thesis process address access class"
    " mass pass loss less unless across".split()
)  # fmt: skip

# Title case and lower case of these are different words; of a word in capitals (IT, US, WHO) they always are.
AMBIGUOUS_CASE = frozenset(
    "apple turkey china polish may march august will mark bill rose grace hope faith frank jack sue pat rob drew art dick go rust"
    " swift java amazon windows word excel access target shell gap jordan chad mercury venus mars orange nice reading bath mobile"
    " buffalo hungary danish chili chile cologne lima panama guinea georgia virginia victoria brie champagne cognac bordeaux"
    " orion explorer chrome edge safari opera firefox teams outlook slack zoom discord notion meta oracle sage spark flask"
    " pandas numpy express react angular ember ruby pearl perl scala crystal julia python cobra viper julian earth sun moon god"
    " bush stone wood fox wolf king bishop pope parliament congress state democrat republican catholic liberal conservative"
    " olive ivy iris lily violet daisy jasmine ginger ray ward cook baker potter smith mason carpenter fisher hunter page"
    " chase miles dean earl duke prince major general sunny sandy rocky dusty wally gene lance cliff dale glen heath brook"
    " christian joy charity patience prudence harmony melody carol dawn eve april june summer autumn misty stormy sky".split()
)  # fmt: skip
