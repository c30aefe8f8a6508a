<?php
require getenv('KITS') . '/verify.php';

foreach (json_decode(file_get_contents(getenv('VECTORS')), true) as $row) {
    if (verify($row['body'], $row['headers'], $row['secrets'], $row['now']) !== $row['valid']) {
        fwrite(STDERR, $row['name'] . "\n");
        exit(1);
    }
    echo $row['name'], "\n";
}
