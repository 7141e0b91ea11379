"""Hard negatives: pairs of prompts that look alike and want different answers.

Written by hand before the guard was tried on any of them, and apart from `pairs.py`, which the guard was made with.
A line holds both prompts: `{first|second}` marks where they differ. Every category has its lines in no order, so the
even and the odd ones are two halves alike: the even half was looked at while the guard was mended, the odd half was not.
"""

import re
from collections.abc import Iterator

_CHOICE = re.compile(r"\{([^{}|]*)\|([^{}|]*)\}")

LINES: dict[str, str] = {
    "numbers": """
        Give me {five|seven} names for a bakery that sells sourdough.
        Plot a histogram of the column price with {20|30} bins.
        Show the first {10|100} rows of the frame where revenue is missing.
        What is {17|71} percent of 2400?
        Fit a polynomial of degree {two|three} to these points and print the coefficients.
        Split the data into {70|80} percent train and the rest test.
        Summarise this review in {one|two} sentences: the room was clean, the staff was slow.
        What does HTTP status {401|403} mean?
        How many edges does a complete graph on {6|7} vertices have?
        Draw a {2|3} by 4 grid of subplots that share their x axis.
        Is {91|97} a prime number?
        Translate the following into French in at most {50|15} words: we will be late.
        List the {top ten|top twenty} customers by turnover.
        Compute the {95th|99th} percentile of the response times.
        What is the square root of {1.44|14.4}?
        Retry the request {once|twice} before giving up.
        Round these prices to {2|3} decimals.
        What is the {second|third} law of thermodynamics?
        Explain article {5|15} of the convention on human rights.
        A train travels {120 km|210 km} in two hours. How fast is it?
        Use a learning rate of {1e-3|1e-4} and train again.
        How do I install version {3.11|3.12} of Python beside the one of the system?
        Take every {third|fourth} element of the list.
        Write a haiku about {three|four} cats.
        The model has {7|70} billion parameters; how much memory does it need in half precision?
        What happened in apollo {11|13}?
        Cut the audio into windows of {half a|a} second.
        Describe chapter {IV|VI} of the book in a few words.
        """,
    "dates": """
        Sum the sales of {March|May} by region.
        Who was the president of France in {1995|2005}?
        How many days are there between 1 January and {1 March|1 April} this year?
        What was the inflation rate in the euro area in {2021|2022}?
        Filter the log to entries before {2024-03-01|2024-01-03}.
        Plan a {Monday|Friday} morning for someone who works from home.
        Group the orders by {week|month} and draw a line chart.
        What happened on the stock market {yesterday|today}?
        Which holidays fall in the {first|last} week of December?
        Remind me how the {19th|18th} century ended in Austria.
        Resample the series to {hourly|daily} means.
        Draft an invitation for a meeting at {9 am|9 pm}.
        Write the release notes of the {spring|autumn} version.
        What did the board decide in {Q2|Q3}?
        Compare temperatures in the {1980s|1990s} with those of today.
        Give me the moon phase of {12|21} June 2023.
        When is {Easter|Pentecost} in 2026?
        How many users signed up {last week|this week}?
        Show all invoices that are due in {30|60} days.
        Convert {noon|midnight} in Tokyo to London time.
        Which films came out in the {summer|winter} of 1999?
        Who won the world cup in {2010|2014}?
        Return the rows whose timestamp falls {before|after} sunrise.
        What was the weather like the day {before|after} the launch?
        Change the date format to {YYYY-MM-DD|DD-MM-YYYY}.
        What is on the agenda for {tomorrow|next week}?
        Explain why February has {28|29} days.
        How did exports develop {since|until} 2015?
        """,
    "units": """
        Convert 5 {miles|nautical miles} to kilometres.
        How many {grams|ounces} of flour are in a cup?
        What is the boiling point of water in {Celsius|Fahrenheit}?
        Write a function that takes a distance in {metres|feet} and returns the time to fall.
        Give the price in {euros|dollars}.
        Report the latency in {milliseconds|microseconds}.
        How much memory does a million floats take, in {MB|MiB}?
        What does a weight of 80 {kg|lb} mean for the dose?
        The pressure is 30 {psi|bar}: is that too much for a bicycle tyre?
        Change the axis so that it shows {minutes|hours}.
        My file is 4 {GB|TB} large. How do I read it with pandas?
        How long is a {light year|parsec}?
        Convert the angles from {degrees|radians} to turns.
        Bake it at 180 {degrees Celsius|degrees Fahrenheit} and tell me how long it takes.
        What is the top speed in {km/h|mph}?
        Compute the energy of the battery in {joules|watt hours}.
        The field has an area of two {hectares|acres}; how many trees fit?
        How many {pints|litres} are in a gallon?
        Show growth in {percent|percentage points}.
        Express the concentration in {mg/l|mol/l}.
        What is one {troy ounce|ounce} of gold worth?
        The link carries 100 {megabits|megabytes} per second. How long does a copy of 1 GB take?
        Print the wavelength in {nm|um} for each line.
        How tall is the tower in {feet|metres}?
        A salary of 4000 a {month|week} before tax: what is left of it?
        Make the figure 10 {cm|inches} wide.
        What dose of 5 {mg|mcg} per kilogram means for a child of 20 kg, please calculate.
        Count the sunshine {hours|days} in Lisbon.
        """,
    "negation": """
        Which of these files {are|are not} under version control?
        List the countries that {have|have never} won a medal at the winter games.
        Write a regular expression that matches lines {with|without} a semicolon.
        Explain when I {should|should not} use a mutable default argument.
        Why {does|doesn't} my plot show up in the notebook?
        Select customers who {bought|did not buy} anything in the last quarter.
        What happens if I {commit|don't commit} before I switch branches?
        Give me recipes {with|without} eggs.
        Is it {possible|impossible} to sort a linked list in linear time?
        Which birds {can|cannot} fly?
        Return {all|none} of the columns that hold text.
        Write an essay, {and do|and do not} use bullet points.
        How do I run the tests {with|without} the network?
        Name metals that are {magnetic|non-magnetic}.
        Which packages {need|need no} compiler to install?
        Draft a reply that says we {will|won't} renew the contract.
        Is the matrix {invertible|not invertible} if its determinant is 0?
        Tell me why the request {failed|did not fail}.
        Keep the rows where the score is {null|not null}.
        What foods {contain|lack} iron?
        Which customers are {eligible|ineligible} for a refund?
        Write a poem that {mentions|never mentions} the sea.
        What are the advantages of {using|not using} an ORM?
        Does this licence allow commercial use, {if the source is disclosed|unless the source is disclosed}?
        Show the users {who agreed|who refused to agree} to the new terms.
        {Include|Exclude} weekends from the average.
        How do I tell whether a process is {alive|no longer alive}?
        Explain what it means that a test result is {significant|insignificant}.
        """,
    "antonyms": """
        Sort the table by date in {ascending|descending} order.
        What are the {advantages|disadvantages} of remote work?
        Write a {formal|casual} mail to a landlord about the heating.
        How do I {increase|decrease} the swap space on Linux?
        Find the {largest|smallest} connected component of the graph.
        Give me three {positive|negative} reviews of the hotel.
        What makes a city {safe|dangerous} for cyclists?
        How do you {open|close} a bank account online?
        {Encrypt|Decrypt} this file with a password in Python.
        What is the {minimum|maximum} age for a pilot's licence?
        How do I {enable|disable} spell checking in the editor?
        Why are {hot|cold} drinks served in a thin glass?
        Tell me how to {gain|lose} weight in two months.
        Which countries {import|export} the most rice?
        Explain how to {lock|unlock} a row in PostgreSQL.
        Turn the text into {upper|lower} case.
        Describe a {strong|weak} password.
        What is the {cheapest|most expensive} way to ship a parcel abroad?
        When did the company {buy|sell} its shares?
        How to {attach|detach} a volume to a running container?
        Write a {long|short} story about a lighthouse keeper.
        {Zip|Unzip} a folder with the standard library.
        Which drugs {raise|lower} blood pressure?
        Is it better to {rent|buy} a flat in Vienna?
        Describe a {happy|sad} memory in the first person.
        Give an example of a {convex|concave} function.
        {Serialise|Deserialise} a dataclass to JSON without a library.
        {Push|Pull} the branch and tell me what changed.
        """,
    "swapped": """
        Convert {EUR to USD|USD to EUR} with the rate of the day.
        How do I turn {JSON into CSV|CSV into JSON} on the command line?
        Why is {Python slower than Go|Go slower than Python}?
        Translate this {from Dutch to Danish|from Danish to Dutch}: good morning.
        Subtract {the mean from the median|the median from the mean}.
        Move the rows of {table orders to table archive|table archive to table orders}.
        Did {Germany beat Brazil|Brazil beat Germany} in the final?
        Is {a tomato heavier than an onion|an onion heavier than a tomato}?
        Can {a square be called a rectangle|a rectangle be called a square}?
        What happens if {the client waits for the server|the server waits for the client}?
        Join {users onto orders|orders onto users} and keep all rows of the left one.
        Write a letter from {a tenant to a landlord|a landlord to a tenant} about a broken window.
        How far is it if I drive from {Prague to Brno|Brno to Prague} by way of Jihlava?
        Who owes more, if {Anna lends Ben money|Ben lends Anna money}?
        Divide {the first column by the second|the second column by the first}.
        Explain why {A implies B|B implies A} here.
        Copy {main into dev|dev into main} without a merge commit.
        Does {smoking cause stress|stress cause smoking}?
        Is {the earth larger than venus|venus larger than the earth}?
        How many {teachers per pupil|pupils per teacher} are there?
        Replace every {tab by a space|space by a tab} in the file.
        When did {Google buy YouTube|YouTube buy Google}?
        Rewrite this {from the active to the passive voice|from the passive to the active voice}: the dog bit the man.
        What do {cats think of dogs|dogs think of cats}?
        Migrate a repository from {GitHub to GitLab|GitLab to GitHub} with its issues.
        Can {a parent process outlive its child|a child process outlive its parent}?
        Why do {employees leave managers|managers leave employees}?
        Encode {text as base64 and then gzip it|text with gzip and then base64 it}.
        """,
    "names": """
        Who is {Marie|Pierre} Curie?
        What did {Kant|Hume} write about causality?
        Compare the novels of {Jane Austen|Charlotte Bronte} in a few lines.
        Tell me how {Netflix|Spotify} recommends things.
        What is the revenue of {Siemens|Bosch}?
        Write a birthday card for {Julia|Juliane}.
        How does {pandas|polars} handle missing values?
        What is the difference between {Kafka|RabbitMQ} and a database queue?
        Summarise the plot of {Hamlet|Macbeth}.
        Is {Ford|Fiat} older than Renault?
        Set up a {Postgres|MySQL} server in a container.
        What are side effects of {ibuprofen|paracetamol}?
        Who directed {Alien|Aliens}?
        Explain the {Bellman|Bellman-Ford} equation step by step.
        What does a {Kalman|Wiener} filter do?
        How do I plot with {seaborn|plotly} in a notebook?
        Which albums did {Radiohead|Coldplay} release?
        Does {Slack|Teams} keep deleted messages?
        Who was {George H. W. Bush|George W. Bush}?
        Write a cover letter to {Apple|Amazon} for a data scientist.
        What is the mass of {Jupiter|Saturn}?
        Give me a summary of the book by {Tolstoy|Dostoevsky} that is read at school.
        Tell me about {Anna Karenina|Anna Kournikova}.
        When was {Bach|Brahms} born?
        Does the {iPhone|Pixel} support two SIM cards?
        Show how to train a {random forest|gradient boosting} classifier with scikit-learn.
        How do I deploy a model on {Azure|AWS}?
        Is {Ubuntu|Fedora} a good choice for a laptop?
        """,
    "places": """
        What is the capital of {Slovakia|Slovenia}?
        Recommend a museum in {Berlin|Munich}.
        How many people live in {Georgia|Armenia}?
        What is the tallest building in {Chicago|New York}?
        Is it safe to drink tap water in {Mexico|Morocco}?
        How do I get a visa for {Vietnam|Thailand}?
        What time is it in {Perth|Sydney} when it is noon in London?
        Which river runs through {Paris|Prague}?
        Name dishes typical of {northern|southern} Italy.
        How high are taxes in {Switzerland|Sweden}?
        Where can I hike in the {Alps|Andes} in June?
        What language is spoken in {Suriname|Guyana}?
        Plot the population of {North|South} Korea since 1950.
        List the states that border {Kansas|Arkansas}.
        What is the minimum wage in {Spain|Portugal}?
        Give me the climate of {Oslo|Helsinki} in three sentences.
        Who governs {Hong Kong|Macau}?
        How do I open a company in {Estonia|Latvia}?
        What is a good area to stay in {Rome|Florence} with children?
        Tell me how to get from the airport to the centre of {Lyon|Lisbon}.
        When did {Austria|Australia} become a member of the UN?
        What is the currency of {Iceland|Ireland}?
        Describe the coast of {East|West} Africa.
        What is the speed limit in {Bavaria|Belgium}?
        How large is {Lake Victoria|Lake Superior}?
        Which airlines fly to {Bergen|Basel}?
        What is the voltage in {Japan|Jamaica}?
        Which parties sit in the parliament of {Norway|Nepal}?
        """,
    "code": """
        What does {df.loc|df.iloc} do in pandas?
        Explain the difference between {np.dot|np.outer} and the star operator.
        Why does {sorted()|sort()} return what it returns on a list?
        Write a docstring for the function {load_users|load_orders}.
        How do I use {pd.merge|pd.concat} with different indexes?
        What does the flag {-r|-f} of rm do?
        Fix the error in {train.py|eval.py}: list index out of range.
        When is {__new__|__init__} called?
        What is the type of {x[0]|x[:1]} if x is a list of strings?
        Rename the variable {n_rows|n_cols} everywhere.
        Explain {git reset|git revert} with an example.
        What is stored in {sys.path|os.path}?
        Describe what {SELECT DISTINCT|SELECT COUNT} does on a table with nulls.
        How does {asyncio.gather|asyncio.wait} treat exceptions?
        Is {a == b|a is b} true for two equal strings?
        What is the complexity of {list.append|list.insert}?
        Add a test for {parse_date()|parse_time()}.
        What does {\\d+|\\D+} match?
        Set {max_depth|max_features} of the tree and explain the effect.
        Write a for loop that prints {i|j} from the nested list.
        Explain {malloc|calloc} to a beginner.
        How do I get {stdout|stderr} of a subprocess?
        What does {chmod 644|chmod 755} allow?
        Where is {DATABASE_URL|REDIS_URL} read in a Django project?
        Refactor {class Foo|class Bar} so that it has no state.
        Why does {import torch|import tensorflow} take so long?
        What is {map|flatMap} in Scala?
        Which HTTP method is right, {PUT|POST}, to create a resource at a URL I choose?
        """,
    "language": """
        Translate "where is the station" into {Spanish|Portuguese}.
        Write hello world in {Rust|Ruby}.
        Say thank you in {Norwegian|Hungarian}.
        Write the report in {English|German}.
        Implement quicksort in {C|C++}.
        How do I read a file line by line in {Java|JavaScript}?
        Correct the grammar of this {French|Italian} sentence.
        Give me the answer as {JSON|YAML}.
        What is the word for butterfly in {Japanese|Chinese}?
        Write a unit test in {Kotlin|Swift} for a stack.
        Reply to the customer in {Polish|Czech}, politely.
        Which {Latin|Greek} root does the word biology come from?
        Show me a closure in {Python|Perl}.
        Format the table as {Markdown|LaTeX}.
        Explain the subjunctive in {Spanish|French} with two examples.
        Write the query in {SQL|Cypher}.
        Summarise the text below in {simple|academic} English.
        How is the r pronounced in {Turkish|Swedish}?
        Convert the script from {bash|fish} to Python.
        Return the numbers spelled out in {Danish|Dutch}.
        Is there a polite form of you in {Hindi|Korean}?
        Write the slogan in {British|American} English.
        How do I declare an interface in {Go|TypeScript}?
        Write a greeting in {Arabic|Hebrew} for a wedding.
        Give me the plot code in {R|Julia}.
        Draw the flow as a {Mermaid|Graphviz} diagram.
        Write the same email in {Finnish|Estonian}.
        What is the past tense of go in {English|Dutch}?
        """,
    "question type": """
        {Who|When} invented the telephone?
        {Why|How} does a transformer use attention?
        {Where|When} was the treaty of Rome signed?
        {What|Who} is Docker for?
        {How many|Which} countries are in the European Union?
        {How long|How often} should I water a cactus?
        {What is|Who uses} gradient clipping?
        {Can|Should} I store passwords in a config file?
        {How much|How long} does a flight from Vienna to Oslo take?
        {Why|When} should I normalise my features?
        {Explain|Implement} binary search.
        {List|Compare} the clustering algorithms of scikit-learn.
        {Define|Prove} the law of large numbers.
        {Which|How many} columns of the frame are categorical?
        {Write|Review} a function that removes duplicates from a list.
        {Summarise|Translate} the paragraph above.
        {Is|Why is} Pluto a planet?
        {How do I|Why would I} pin the versions of my dependencies?
        {What|Where} is the Louvre?
        {How old|How tall} is the Eiffel tower?
        {Does|How does} aspirin thin the blood?
        {Fix|Explain} this traceback: KeyError: 'id'.
        {How far|How big} is the moon?
        {Name|Count} the vowels in this sentence.
        {Where do|What do} polar bears eat?
        {Give examples of|Give a definition of} a monoid.
        {What causes|What cures} migraine?
        {Who wrote|Who translated} the Aeneid?
        """,
    "near the end": """
        You are a careful analyst. Read the table below, check it for missing values and duplicates, describe each column in a sentence, and at the end tell me which region had the {highest|lowest} margin.
        I have a frame with the columns user_id, country, signup_date and plan. I want to know how many users are still active after ninety days. Please write the pandas code for it, group by country, and sort the result by {country|plan}.
        Our team deploys a small Flask service behind nginx on one machine. Lately some requests take more than ten seconds although the CPU is idle. Walk me through how to find the cause, beginning with the {database|network}.
        Write a product description of about a hundred words for a steel water bottle that keeps drinks cold for a day. It should sound friendly, name the colours green and grey, and close with a call to buy it {online|in a shop}.
        Explain to a class of twelve-year-olds how vaccines work. Use a comparison from everyday life, avoid difficult words, and finish with a question that they can discuss in {pairs|groups of four}.
        I am planning a trip of two weeks through Portugal with two small children and without a car. We like beaches, trains and good food and do not want to change hotels more than three times. Which month is best to travel, and where should we {start|end}?
        The following function is slow for large inputs because it compares every pair. Suggest an algorithm with a better running time, show the code, and state how much {memory|time} it needs.
        Given the log lines above, find all requests that ended in a server error, group them by endpoint, and tell me which endpoint failed {first|most}.
        Please rewrite the paragraph so that a reader without a background in statistics understands it. Keep the figures, drop the formulas, and use the {present|past} tense throughout.
        Compare three ways to store time series in a relational database: one table per sensor, one wide table, and one long table. Discuss how each behaves when there are many sensors, and recommend one for {reading|writing} mostly.
        I trained a classifier on an unbalanced set with two percent positives. Accuracy is at ninety-eight percent, yet nobody is happy. Explain what went wrong, and which metric I should report to the {doctors|managers}.
        Write an SQL query over the tables orders, customers and items that returns for every customer the number of orders, the total spent, the date of the first order, and whether the customer {has|has not} returned an item.
        Act as an interviewer for a position in data engineering. Ask me one question at a time, wait for my answer, then tell me what was good and what was missing, and rate it from one to {five|ten}.
        My landlord wants to keep the deposit because of scratches on the floor that were there before I moved in. Draft a letter that stays polite, mentions the protocol of the handover, and asks for the money within {two|four} weeks.
        Build a small command-line tool that reads a CSV file, guesses the type of each column, prints a summary with minimum, maximum and mean, and exits with an error if a column is {empty|constant}.
        Take the meeting notes below and turn them into a list of decisions, a list of open questions, and a list of tasks with an owner and a date, and send it to {the customer|the team} as a mail.
        Describe the causes of the first world war in about three hundred words, weigh the part that alliances played against that of nationalism, and conclude with the view of a {German|British} historian.
        In a Jupyter notebook I load twenty files, clean them and join them, and after an hour the kernel dies. I suspect memory. Show me how to measure what each step needs, and how to do it with {dask|duckdb}.
        Read the contract, list every duty that we take on, note by when each has to be fulfilled, and mark those where a delay would cost us a penalty that is {above|below} one thousand euros.
        Design a schema for a library that lends books and films to members, with reservations and fines. Give the tables with their keys, say which indexes you would add, and write the query that finds all {overdue|reserved} items.
        Write a bedtime story about a fox who is afraid of the dark. It should take five minutes to read aloud, have a gentle rhythm, and end with the fox {falling asleep|waking up}.
        Suppose that a fair coin is tossed ten times. Work out, step by step and with the formula, the probability that heads comes up {at least|at most} four times.
        We run a weekly newsletter with eight thousand readers, and the share of people who open it has dropped for three months. Think of possible reasons, say how each could be tested, and propose a first {experiment|survey}.
        Summarise the abstract below for a lay audience in three sentences, then list two questions that a critical reader would ask about the {method|funding}.
        Use matplotlib to draw the two series in one figure with a shared time axis, put the temperature on the left and the rainfall on the right, add a legend, and save the figure as {png|svg}.
        The regression has a high R squared but the residuals show a clear curve. Tell me what that means for the conclusions, which transformation might help, and whether I should transform the {target|predictors}.
        Prepare a training plan for a runner who has finished one half marathon and wants to run a full one in six months, with three runs a week, one long run, and a rest day on {Sunday|Monday}.
        Look at the JSON document that follows, check it against the schema, report every violation with its path, and write a corrected version in which unknown fields are {kept|removed}.
        """,
}
"""Per category: one pair of prompts a line."""

FOREIGN: dict[str, str] = {
    "German": """
        Wie viele Einwohner hat {Graz|Linz}?
        Schreibe eine Mail, dass wir {kommen|nicht kommen}.
        Gib mir {drei|vier} Beispiele für starke Verben.
        Welche Bücher hat {Böll|Grass} geschrieben?
        Was sind die {Vorteile|Nachteile} einer Wärmepumpe?
        Rechne {Euro in Franken|Franken in Euro} um.
        Erkläre mir den Satz {mit|ohne} Formeln.
        {Warum|Wann} wurde die Mauer gebaut?
        Welche Länder haben {eine|keine} Küste?
        Sortiere die Liste {aufsteigend|absteigend} in Python.
        """,
    "French": """
        Quelle est la capitale de {la Lituanie|la Lettonie} ?
        Écris une lettre pour dire que je {viendrai|ne viendrai pas} demain.
        Donne-moi {deux|trois} exemples de verbes irréguliers.
        Qui a écrit {Germinal|Nana} ?
        Quels sont les {avantages|inconvénients} du télétravail ?
        Traduis ce texte {du français vers l'anglais|de l'anglais vers le français} : bonjour.
        Une recette {avec|sans} gluten pour ce soir.
        {Pourquoi|Quand} la Bastille est-elle tombée ?
        Quels pays n'ont {plus|jamais eu} de roi ?
        Comment {ouvrir|fermer} un compte en ligne ?
        """,
    "Spanish": """
        ¿Cuál es la capital de {Honduras|Nicaragua}?
        Escribe un correo diciendo que {iremos|no iremos} a la reunión.
        Dame {cinco|seis} nombres para un perro.
        ¿Quién pintó {Las Meninas|La maja desnuda}?
        ¿Cuáles son las {ventajas|desventajas} de alquilar?
        Convierte {euros a pesos|pesos a euros}.
        Una receta {con|sin} carne para cuatro.
        ¿{Por qué|Cuándo} cayó el imperio romano?
        ¿Qué animales {pueden|no pueden} volar?
        ¿Cómo {activar|desactivar} las notificaciones?
        """,
    "Chinese": """
        {北京|南京}有多少人口？
        请写一封邮件说我们{会|不会}参加会议。
        给我{三|四}个例子。
        {李白|杜甫}写了哪些诗？
        远程办公有什么{优点|缺点}？
        怎样把{人民币换成美元|美元换成人民币}？
        请推荐{有|没有}辣椒的菜。
        长城是{什么时候|为什么}修建的？
        如何{打开|关闭}通知？
        {上海|上饶}的天气怎么样？
        """,
    "Russian": """
        Сколько жителей в {Казани|Рязани}?
        Напиши письмо, что мы {придём|не придём} на встречу.
        Приведи {три|четыре} примера глаголов движения.
        Какие романы написал {Толстой|Тургенев}?
        Каковы {преимущества|недостатки} удалённой работы?
        Переведи {рубли в евро|евро в рубли}.
        Дай рецепт {с мясом|без мяса} на ужин.
        {Почему|Когда} распался Советский Союз?
        Какие птицы {умеют|не умеют} летать?
        Как {включить|выключить} уведомления?
        """,
    "Arabic": """
        ما هي عاصمة {الأردن|المغرب}؟
        اكتب رسالة تقول إننا {سنحضر|لن نحضر} الاجتماع.
        أعطني {ثلاثة|أربعة} أمثلة على الأفعال.
        ما هي {مزايا|عيوب} العمل عن بعد؟
        كيف أحول {اليورو إلى الدولار|الدولار إلى اليورو}؟
        اقترح وصفة {مع|بدون} لحم.
        {لماذا|متى} بني سور الصين؟
        ما هي الطيور التي {تطير|لا تطير}؟
        كيف {أفتح|أغلق} حسابا؟
        من كتب {الأيام|الثلاثية}؟
        """,
}
"""The same in other languages, whose words the guard does not know."""


def _pairs(lines: str) -> Iterator[tuple[str, str]]:
    for line in lines.strip().splitlines():
        text = line.strip()
        yield _CHOICE.sub(r"\1", text), _CHOICE.sub(r"\2", text)


HARD = [(category, first, second) for category, lines in LINES.items() for first, second in _pairs(lines)]
FOREIGN_HARD = [(name, first, second) for name, lines in FOREIGN.items() for first, second in _pairs(lines)]
